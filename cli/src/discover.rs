use crate::{Ending, Misuse, arguments::Discover, output::Output};
pub(crate) fn run(_: &Discover, _: &mut Output) -> Result<Ending, Misuse> { Ok(Ending::Good) }
