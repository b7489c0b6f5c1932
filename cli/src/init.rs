use crate::{Ending, Misuse, arguments::Init, output::Output};
pub(crate) fn run(_: Init, _: &mut Output) -> Result<Ending, Misuse> { Ok(Ending::Good) }
