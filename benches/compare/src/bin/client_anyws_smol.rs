//! anyws as a client, on smol.

use anyws_compare::Result;
use anyws_compare::client::{self, Plan};

fn main() -> Result<()> {
    let plan = Plan::read()?.ok_or("this is a client alone")?;
    client::run_on_smol(&plan, client::anyws())
}
