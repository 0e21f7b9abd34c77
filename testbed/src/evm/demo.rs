//! What `examples/chains` reads: a token, and what the demo wallets hold of it.

use alloy_primitives::{Address, U256, address};

use super::{Contracts, Evm};
use crate::TestbedError;

/// The demo wallets 0 to 7 of `examples/README.md`, whose keys everybody knows.
const DEMO_HOLDERS: [Address; 8] = [
    address!("732a943D04fb15c316D624749287ED15A760015D"),
    address!("e3c1e97f5CC8193Be29261c1ec4D30d62Ca68627"),
    address!("71BBBA6AC1789B0326605B81D7356664C4336fFA"),
    address!("B5c4Ef51FAB6f8919F0D2D094a493DCF55982AA4"),
    address!("f352F5335590E4BcA9f7583818687037219659A0"),
    address!("F786433D34Bc1e7ebAA895176113c204c831F3C3"),
    address!("79AA957447a8Eb781E2b1933396F7351fC3c02F9"),
    address!("E8a5Ec91FCC15c6C24B05677cE83883c7741647d"),
];

/// The token's decimals, as the example states them.
const DEMO_DECIMALS: u64 = 18;

impl Evm {
    /// Deploys the token of `examples/chains/token-holders.yaml` and gives demo wallet `i` of the first eight
    /// 100 × (`i` + 1) of it; the other wallets hold none. It has to be the deployer's first transaction, because the
    /// example names the address that follows from that.
    ///
    /// # Errors
    /// The contracts cannot be compiled, or the node cannot be reached or answers with an error.
    pub fn deploy_demo_token(&self) -> Result<Address, TestbedError> {
        let contracts = Contracts::compiled()?;
        let compiled = contracts.get("Token");
        let token = self.deploy(compiled, &[DEMO_DECIMALS.into()])?;
        let unit = U256::from(10).pow(U256::from(DEMO_DECIMALS));
        let raws: Vec<U256> = (1..=DEMO_HOLDERS.len()).map(|number| U256::from(100 * number) * unit).collect();
        let arguments = [DEMO_HOLDERS.as_slice().into(), raws.as_slice().into()];
        self.send(token, &compiled.calldata("mintMany(address[],uint256[])", &arguments))?;
        Ok(token)
    }
}
