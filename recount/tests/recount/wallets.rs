//! What wallets say, through the recount of a real chain.
