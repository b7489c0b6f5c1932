use crate::{Ending, Misuse, arguments::Explain, output::Output};
pub(crate) fn run(_: &Explain, _: &mut Output) -> Result<Ending, Misuse> { Ok(Ending::Good) }
