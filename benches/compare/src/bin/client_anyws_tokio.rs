//! anyws as a client, on tokio.

use anyws_compare::Result;
use anyws_compare::client::{self, Plan};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let plan = Plan::read()?.ok_or("this is a client alone")?;
    client::run(plan, client::anyws()).await
}
