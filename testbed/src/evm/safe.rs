//! Safes: the contracts that most organisations hold tokens in, as their makers publish them.

use std::ops::Range;

use alloy_primitives::{Address, B256, U256, keccak256};

use super::{Argument, Contracts, Evm};
use crate::TestbedError;

/// Safes that one transaction makes; each costs about 300,000 gas, and a block has 50 million.
const MADE_PER_TRANSACTION: u64 = 100;

/// An owner and how it signs a hash as it is: r, s, v.
pub type SafeOwner<'a> = (Address, &'a dyn Fn(B256) -> [u8; 65]);

/// What all Safes of a chain share.
#[derive(Debug, Clone)]
pub struct SafeContracts {
    contracts: Contracts,
    singleton: Address,
    handler: Address,
    factory: Address,
    sign_message: Address,
    maker: Address,
}

/// One Safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safe {
    /// Its address.
    pub address: Address,
    /// The chain that it is on.
    pub chain_id: u64,
}

/// A Safe that is not made yet, and what makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSafe {
    /// What it will be.
    pub safe: Safe,
    /// The contract that makes it.
    pub factory: Address,
    /// With this call, whoever calls it.
    pub calldata: Vec<u8>,
}

/// # Errors
/// Each call fails if the node cannot be reached or answers with an error.
impl SafeContracts {
    /// Deploys them.
    pub fn deploy(evm: &Evm) -> Result<Self, TestbedError> {
        let contracts = Contracts::compiled()?;
        let deploy = |name| evm.deploy(contracts.get(name), &[]);
        Ok(Self {
            singleton: deploy("Safe")?,
            handler: deploy("CompatibilityFallbackHandler")?,
            factory: deploy("SafeProxyFactory")?,
            sign_message: deploy("SignMessageLib")?,
            maker: deploy("SafeMaker")?,
            contracts,
        })
    }

    /// A Safe of these owners, of whom so many must sign; the salt tells such Safes apart.
    pub fn plan(&self, evm: &Evm, owners: &[Address], threshold: u64, salt: u64) -> PlannedSafe {
        let initializer = self.initializer(owners, threshold);
        let salts = [keccak256(&initializer), B256::from(U256::from(salt))].concat();
        let code = [self.contracts.get("SafeProxy").creation(), self.singleton.into_word().as_slice()].concat();
        let address = self.factory.create2(keccak256(salts), keccak256(code));
        let arguments = [self.singleton.into(), Argument::Bytes(initializer), salt.into()];
        let factory = self.contracts.get("SafeProxyFactory");
        PlannedSafe {
            safe: Safe { address, chain_id: evm.chain_id() },
            factory: self.factory,
            calldata: factory.calldata("createProxyWithNonce(address,bytes,uint256)", &arguments),
        }
    }

    /// Makes a Safe.
    pub fn make(&self, evm: &Evm, owners: &[Address], threshold: u64, salt: u64) -> Result<Safe, TestbedError> {
        let PlannedSafe { safe, factory, calldata } = self.plan(evm, owners, threshold, salt);
        evm.send(factory, &calldata)?;
        Ok(safe)
    }

    /// Makes a Safe for each salt in few transactions.
    pub fn make_many(
        &self,
        evm: &Evm,
        owners: &[Address],
        threshold: u64,
        salts: Range<u64>,
    ) -> Result<Vec<Safe>, TestbedError> {
        let maker = self.contracts.get("SafeMaker");
        let mut first = salts.start;
        while first < salts.end {
            let count = (salts.end - first).min(MADE_PER_TRANSACTION);
            let arguments = [
                self.factory.into(),
                self.singleton.into(),
                first.into(),
                count.into(),
                Argument::Bytes(self.initializer(owners, threshold)),
            ];
            evm.send(self.maker, &maker.calldata("make(address,address,uint256,uint256,bytes)", &arguments))?;
            first += count;
        }
        Ok(salts.map(|salt| self.plan(evm, owners, threshold, salt).safe).collect())
    }

    /// Lets a Safe approve a digest on the chain: from then on the empty signature is a good one. All of its owners have
    /// to be named; their keys are not needed.
    pub fn approve(&self, evm: &Evm, safe: Safe, owners: &[Address], digest: B256) -> Result<(), TestbedError> {
        let library = self.contracts.get("SignMessageLib");
        let calldata = library.calldata("signMessage(bytes)", &[Argument::Bytes(digest.to_vec())]);
        self.execute(evm, safe, owners, self.sign_message, calldata, true)
    }

    /// Lets a Safe replace its first owner, which is the one that was named first. All of its owners have to be named.
    pub fn replace_owner(
        &self,
        evm: &Evm,
        safe: Safe,
        owners: &[Address],
        replacement: Address,
    ) -> Result<(), TestbedError> {
        // Owners are a list that begins behind this one.
        let sentinel = Address::with_last_byte(1);
        let arguments = [sentinel.into(), owners[0].into(), replacement.into()];
        let calldata = self.contracts.get("Safe").calldata("swapOwner(address,address,address)", &arguments);
        self.execute(evm, safe, owners, safe.address, calldata, false)
    }

    /// Executes a transaction of a Safe, which its owners approve on the chain.
    fn execute(
        &self,
        evm: &Evm,
        safe: Safe,
        owners: &[Address],
        to: Address,
        calldata: Vec<u8>,
        is_delegate_call: bool,
    ) -> Result<(), TestbedError> {
        let compiled = self.contracts.get("Safe");
        let zero = || Argument::from(0_u64);
        let mut arguments = vec![to.into(), zero(), Argument::Bytes(calldata), u64::from(is_delegate_call).into()];
        arguments.extend([zero(), zero(), zero(), zero(), zero()]);
        let nonce = U256::from_be_slice(&evm.call(safe.address, &compiled.calldata("nonce()", &[]))?);
        let with = |last: Argument| [arguments.clone(), vec![last]].concat();
        let types = "address,uint256,bytes,uint8,uint256,uint256,uint256,address,address";
        let hash = compiled.calldata(&format!("getTransactionHash({types},uint256)"), &with(nonce.into()));
        let hash = U256::from_be_slice(&evm.call(safe.address, &hash)?);
        let mut owners = owners.to_vec();
        owners.sort_unstable();
        let mut approvals = Vec::new();
        for owner in owners {
            let approve = compiled.calldata("approveHash(bytes32)", &[hash.into()]);
            evm.send_from(owner, safe.address, U256::ZERO, &approve)?;
            // r says who, s nothing, and v that the approval is on the chain.
            approvals.extend([owner.into_word(), B256::ZERO].concat());
            approvals.push(1);
        }
        let execute = compiled.calldata(&format!("execTransaction({types},bytes)"), &with(Argument::Bytes(approvals)));
        evm.send(safe.address, &execute).map(|_| ())
    }

    fn initializer(&self, owners: &[Address], threshold: u64) -> Vec<u8> {
        let zero = || Argument::from(0_u64);
        let arguments = [
            owners.into(),
            threshold.into(),
            zero(),
            Argument::Bytes(Vec::new()),
            self.handler.into(),
            zero(),
            zero(),
            zero(),
        ];
        let signature = "setup(address[],uint256,address,bytes,address,address,uint256,address)";
        self.contracts.get("Safe").calldata(signature, &arguments)
    }
}

impl Safe {
    /// What its owners sign for a digest: the hash of Safe's EIP-712 message `SafeMessage(bytes message)`.
    #[must_use]
    pub fn message_hash(&self, digest: B256) -> B256 {
        let domain = keccak256("EIP712Domain(uint256 chainId,address verifyingContract)");
        let chain = B256::from(U256::from(self.chain_id));
        let domain = keccak256([domain, chain, self.address.into_word()].concat());
        let message = keccak256([keccak256("SafeMessage(bytes message)"), keccak256(digest)].concat());
        keccak256([[0x19, 0x01].as_slice(), domain.as_slice(), message.as_slice()].concat())
    }

    /// Its signature of a digest by these owners: theirs of the message, ascending by owner.
    #[must_use]
    pub fn sign(&self, digest: B256, owners: &[SafeOwner<'_>]) -> Vec<u8> {
        let mut owners = owners.to_vec();
        owners.sort_unstable_by_key(|(owner, _)| *owner);
        let hash = self.message_hash(digest);
        owners.iter().flat_map(|(_, sign)| sign(hash)).collect()
    }
}
