//! The EVM node runs, forks, dies and comes back; contracts answer as they should or as oddly as asked for; every fault
//! of an endpoint is seen by its client.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256, hex};
use alloy_sol_types::{SolCall as _, sol};
use pnyx_testbed::{
    TestbedError,
    evm::{
        Compiled, Contracts, DEPLOYER, Evm, EvmOptions, Fault, FaultyEndpoint, Ledger, Lie, MULTICALL3, Odd, Pruned,
    },
};
use serde_json::{Value, json};

sol! {
    struct Call3 { address target; bool allowFailure; bytes callData; }
    struct Outcome { bool success; bytes returnData; }
    function aggregate3(Call3[] calls) returns (Outcome[] results);
}

/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(300);

/// A delay that no answer of the node takes by itself.
const DELAY: Duration = Duration::from_millis(400);

fn account(number: u64) -> Address {
    Address::from_word(U256::from(0xacc0_0000 + number).into())
}

fn number(bytes: &[u8]) -> U256 {
    U256::try_from_be_slice(bytes).expect("one word")
}

fn balance_of(compiled: &Compiled, holder: Address) -> Vec<u8> {
    compiled.calldata("balanceOf(address)", &[holder.into()])
}

#[test]
fn the_chain_is_final_forks_and_comes_back() {
    let evm = Evm::start(EvmOptions::new().chain_id(7).genesis_timestamp_s(1_700_000_000)).unwrap();
    assert_eq!(evm.rpc("eth_chainId", json!([])).unwrap(), "0x7");
    assert_eq!(evm.block(0).unwrap().unwrap().timestamp_s, 1_700_000_000);
    assert_eq!(evm.mine(5).unwrap().number, 5);
    assert_eq!(evm.finalized().unwrap().number, 3);
    evm.set_next_timestamp(1_800_000_000).unwrap();
    assert_eq!(evm.mine(1).unwrap().timestamp_s, 1_800_000_000);
    assert_eq!(evm.mine_spaced(3, 12).unwrap().timestamp_s, 1_800_000_000 + 36);

    let before = evm.head().unwrap();
    let paid = evm.fund(account(1), U256::from(100)).unwrap();
    let pin = evm.block(paid.block_number).unwrap().unwrap();
    assert_eq!((pin.hash, pin.parent_hash), (paid.block_hash, before.hash));
    evm.send_from(account(1), account(2), U256::from(30), &[]).unwrap();
    let head = evm.finalize(pin.number + 1).unwrap();
    let balances = |block| [1, 2].map(|number| evm.native_balance(account(number), block).unwrap().to::<u64>());
    assert_eq!([before, pin, head].map(balances), [[0, 0], [100, 0], [70, 30]], "each block has its own state");

    let (snapshot, kept) = (evm.snapshot().unwrap(), evm.head().unwrap());
    evm.fund(account(1), U256::from(1)).unwrap();
    evm.revert(snapshot).unwrap();
    assert_eq!(evm.head().unwrap(), kept);
    assert_eq!(balances(kept), [70, 30]);

    let forked = evm.reorg(evm.head().unwrap().number - pin.number).unwrap();
    assert_ne!(evm.block(head.number).unwrap().unwrap().hash, head.hash, "another block of that number");
    assert_eq!(evm.block(pin.number).unwrap().unwrap(), pin, "what lies before stays");
    assert_eq!(balances(forked), [100, 0], "its transactions are gone");
    assert!(evm.native_balance(account(1), head).is_err(), "the old block is not canonical");

    let all: Vec<_> = (0..=evm.head().unwrap().number).map(|number| evm.block(number).unwrap()).collect();
    let address = evm.address();
    evm.kill().unwrap();
    assert!(matches!(evm.head(), Err(TestbedError::Network { .. })));
    assert!(matches!(evm.pause(), Err(TestbedError::NotRunning { .. })));
    evm.restart().unwrap();
    assert_eq!(evm.address(), address, "the port stays");
    for (number, block) in (0..).zip(all) {
        assert_eq!(evm.block(number).unwrap(), block, "the chain stays");
    }
    assert_eq!(balances(pin), [100, 0], "old states stay");

    evm.pause().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: node\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    assert!(stream.read(&mut [0]).is_err(), "a paused node is silent");
    evm.resume().unwrap();
    assert_eq!(evm.mine(600).unwrap().number, evm.head().unwrap().number);
    assert!(evm.native_balance(account(1), pin).is_err(), "states of long ago are pruned");
}

#[test]
fn events_and_contracts_agree() {
    let evm = Evm::start(EvmOptions::new()).unwrap();
    let contracts = Contracts::compiled().unwrap();
    let [token, votes, badges, items, stakes] =
        ["Token", "VotesToken", "Badges", "Items", "Stakes"].map(|name| contracts.get(name));
    let coin = evm.deploy(token, &[24_u64.into()]).unwrap();
    let vote = evm.deploy(votes, &[6_u64.into()]).unwrap();
    let badge = evm.deploy(badges, &[]).unwrap();
    let item = evm.deploy(items, &[]).unwrap();
    let stake = evm.deploy(stakes, &[]).unwrap();
    assert_eq!(number(&evm.call(coin, &token.calldata("decimals()", &[])).unwrap()), U256::from(24));

    let [alice, bob, carol] = [1, 2, 3].map(account);
    let mint = "mint(address,uint256)";
    let half = U256::MAX >> 1;
    let arguments = [[alice, bob].as_slice().into(), [half, U256::from(5)].as_slice().into()];
    evm.send(coin, &token.calldata("mintMany(address[],uint256[])", &arguments)).unwrap();
    for (holder, value) in [(alice, 10_u64), (bob, 20), (carol, 40)] {
        evm.send(vote, &votes.calldata(mint, &[holder.into(), value.into()])).unwrap();
        evm.send(badge, &badges.calldata(mint, &[holder.into(), value.into()])).unwrap();
        evm.send(stake, &stakes.calldata("set(address,uint256)", &[holder.into(), value.into()])).unwrap();
        let arguments =
            [holder.into(), [7, 8].map(U256::from).as_slice().into(), [U256::from(value); 2].as_slice().into()];
        evm.send(item, &items.calldata("mintBatch(address,uint256[],uint256[])", &arguments)).unwrap();
    }
    let zero = U256::ZERO;
    let delegate = votes.calldata("delegate(address)", &[carol.into()]);
    evm.send_from(alice, vote, zero, &delegate).unwrap();
    evm.send_from(bob, vote, zero, &delegate).unwrap();
    evm.send_from(bob, vote, zero, &votes.calldata("delegate(address)", &[bob.into()])).unwrap();
    let pin = evm.head().unwrap();
    let transfer = |compiled: &Compiled| compiled.calldata("transfer(address,uint256)", &[carol.into(), 3_u64.into()]);
    evm.send_from(alice, coin, zero, &transfer(token)).unwrap();
    evm.send_from(alice, vote, zero, &transfer(votes)).unwrap();
    evm.send(badge, &badges.calldata("burn(uint256)", &[20_u64.into()])).unwrap();
    let single = items.calldata("mint(address,uint256,uint256)", &[bob.into(), 7_u64.into(), 1_u64.into()]);
    evm.send(item, &single).unwrap();
    evm.send(stake, &stakes.calldata("set(address,uint256)", &[alice.into(), 0_u64.into()])).unwrap();

    let id = U256::from(7);
    let asked = |ledger, holder: Address| match ledger {
        Ledger::Erc20(contract) => (contract, balance_of(token, holder)),
        Ledger::Erc20Votes(contract) => (contract, votes.calldata("getVotes(address)", &[holder.into()])),
        Ledger::Erc721(contract) => (contract, balance_of(badges, holder)),
        Ledger::Erc1155 { contract, id } => {
            (contract, items.calldata("balanceOf(address,uint256)", &[holder.into(), id.into()]))
        }
        Ledger::Stakes(contract) => (contract, stakes.calldata("votingPower(address)", &[holder.into()])),
    };
    let ledgers = [
        (Ledger::Erc20(coin), [half, U256::from(5), zero], [half - U256::from(3), U256::from(5), U256::from(3)]),
        (Ledger::Erc20(vote), [10, 20, 40].map(U256::from), [7, 20, 43].map(U256::from)),
        (Ledger::Erc20Votes(vote), [0, 20, 10].map(U256::from), [0, 20, 7].map(U256::from)),
        (Ledger::Erc721(badge), [1, 1, 1].map(U256::from), [1, 0, 1].map(U256::from)),
        (Ledger::Erc1155 { contract: item, id }, [10, 20, 40].map(U256::from), [10, 21, 40].map(U256::from)),
        (Ledger::Stakes(stake), [10, 20, 40].map(U256::from), [0, 20, 40].map(U256::from)),
    ];
    for (ledger, then, now) in ledgers {
        for (block, expected) in [(pin, then), (evm.head().unwrap(), now)] {
            let counted = evm.balances_from_events(ledger, block.number).unwrap();
            let counted = [alice, bob, carol].map(|holder| counted.get(&holder).copied().unwrap_or_default());
            let told = [alice, bob, carol].map(|holder| {
                let (contract, calldata) = asked(ledger, holder);
                number(&evm.call_at(block, contract, &calldata).unwrap())
            });
            assert_eq!((counted, told), (expected, expected), "{ledger:?}");
        }
    }
}

#[test]
fn odd_holders_get_odd_answers() {
    let evm = Evm::start(EvmOptions::new()).unwrap();
    let contracts = Contracts::compiled().unwrap();
    let compiled = contracts.get("OddToken");
    let token = evm.deploy(compiled, &[]).unwrap();
    let ask = |gas: u64| {
        let call = json!({ "to": token, "data": hex::encode_prefixed(balance_of(compiled, account(1))), "gas": format!("{gas:#x}") });
        let result = evm.rpc("eth_call", json!([call, "latest"]));
        result.map(|answer| hex::decode(answer.as_str().unwrap()).unwrap()).map_err(|error| error.to_string())
    };
    evm.send(token, &compiled.calldata("mint(address,uint256)", &[account(1).into(), 9_u64.into()])).unwrap();
    let set = |odd: Odd| {
        let arguments = [account(1).into(), odd.into()];
        evm.send(token, &compiled.calldata("setOdd(address,uint8)", &arguments)).unwrap();
        ask(10_000_000)
    };
    for (odd, len) in [
        (Odd::Not, 32),
        (Odd::ReturnsNothing, 0),
        (Odd::Returns31Bytes, 31),
        (Odd::Returns64Bytes, 64),
        (Odd::ReturnsMegabyte, 1 << 20),
        (Odd::CountsBlocks, 32),
    ] {
        assert_eq!(set(odd).unwrap().len(), len, "{odd:?}");
    }
    assert_eq!(number(&set(Odd::CountsBlocks).unwrap()), U256::from(evm.head().unwrap().number));
    for (odd, reason) in [
        (Odd::Reverts, "this holder reverts"),
        (Odd::RevertsWithMegabyte, "execution reverted"),
        (Odd::BurnsAllGas, "OutOfGas"),
        (Odd::HitsInvalid, "InvalidFEOpcode"),
    ] {
        let error = set(odd).unwrap_err();
        assert!(error.contains(reason), "{odd:?}: {error}");
    }
    let arguments = [account(1).into(), 1_000_000_u64.into()];
    evm.send(token, &compiled.calldata("takeGas(address,uint256)", &arguments)).unwrap();
    assert_eq!(ask(1_200_000).map(|answer| number(&answer)), Ok(U256::from(9)));
    assert!(ask(900_000).unwrap_err().contains("OutOfGas"));
}

#[test]
fn multicall_answers_from_the_block_where_it_is() {
    let evm = Evm::start(EvmOptions::new()).unwrap();
    let contracts = Contracts::compiled().unwrap();
    let (odd, multicall) = (contracts.get("OddToken"), contracts.get("Multicall3"));
    let token = evm.deploy(odd, &[]).unwrap();
    evm.send(token, &odd.calldata("mint(address,uint256)", &[account(1).into(), 9_u64.into()])).unwrap();
    evm.send(token, &odd.calldata("setOdd(address,uint8)", &[account(2).into(), Odd::Reverts.into()])).unwrap();
    let accounts: Vec<_> = (0..1_200).map(|number| (account(number), U256::from(number))).collect();
    evm.fund_many(&accounts).unwrap();
    let before = evm.head().unwrap();
    evm.place_multicall().unwrap();
    assert!(multicall.selectors().contains_key("getChainId()"));

    let call = |target, data: Vec<u8>| Call3 { target, allowFailure: true, callData: data.into() };
    let eth = |holder: Address| multicall.calldata("getEthBalance(address)", &[holder.into()]);
    let calls = vec![
        call(token, balance_of(odd, account(1))),
        call(token, balance_of(odd, account(2))),
        call(MULTICALL3, eth(account(1_199))),
    ];
    let calldata = aggregate3Call { calls }.abi_encode();
    let returned = evm.call(MULTICALL3, &calldata).unwrap();
    let outcomes = aggregate3Call::abi_decode_returns(&returned).unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.success).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(number(&outcomes[0].returnData), U256::from(9));
    assert_eq!(number(&outcomes[2].returnData), U256::from(1_199));
    assert!(evm.call_at(before, MULTICALL3, &calldata).unwrap().is_empty(), "not there yet");
}

/// What a client of an endpoint sees.
#[derive(Debug)]
struct Seen {
    status: String,
    head: String,
    body: Vec<u8>,
}

/// Sends one call as any HTTP client would that is given the URL.
fn post(url: &str, body: &Value) -> std::io::Result<Seen> {
    let rest = url.strip_prefix("http://").expect("a URL");
    let (user, rest) = rest.split_once('@').unwrap_or(("", rest));
    let (address, target) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE + DELAY))?;
    let body = body.to_string();
    let credentials = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, user);
    write!(
        stream,
        "POST /{target} HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic {credentials}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let len: usize = head.split("content-length: ").nth(1).expect("a length").lines().next().unwrap().parse().unwrap();
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    if body.len() < len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Seen { status: head.split(' ').nth(1).unwrap().to_owned(), head, body })
}

fn ask(endpoint: &FaultyEndpoint, method: &str, params: Value) -> Value {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut seen = serde_json::from_slice::<Value>(&post(&endpoint.url(), &call).unwrap().body).unwrap();
    match seen.get_mut("result") {
        Some(result) => result.take(),
        None => seen["error"]["message"].take(),
    }
}

#[test]
fn transport_faults_are_seen() {
    let evm = Evm::start(EvmOptions::new().chain_id(7)).unwrap();
    let endpoint = FaultyEndpoint::start(&evm).unwrap();
    let url = endpoint.url();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [] });
    let set = |fault: Fault| endpoint.set(&[fault]).unwrap();
    assert_eq!(ask(&endpoint, "eth_chainId", json!([])), "0x7");
    set(Fault::Dead);
    assert!(post(&url, &call).is_err());
    set(Fault::Silent);
    let start = Instant::now();
    assert!(post(&url, &call).is_err() && start.elapsed() >= SILENCE);
    set(Fault::Slow(DELAY));
    let start = Instant::now();
    assert!(post(&url, &call).is_ok() && start.elapsed() >= DELAY);
    set(Fault::TooManyRequests { retry_after_s: 17 });
    let seen = post(&url, &call).unwrap();
    assert!(seen.status == "429" && seen.head.contains("retry-after: 17\r\n"), "{seen:?}");
    set(Fault::Unavailable);
    assert_eq!(post(&url, &call).unwrap().status, "503");
    set(Fault::TruncatedJson);
    let seen = post(&url, &call).unwrap();
    assert!(seen.status == "200" && serde_json::from_slice::<Value>(&seen.body).is_err());
    set(Fault::CutBody);
    assert!(post(&url, &call).is_err());
    set(Fault::BodyMax(10));
    assert_eq!(post(&url, &call).unwrap().status, "413");
    let batch = json!([call, call]);
    set(Fault::NoBatches);
    let seen = post(&url, &batch).unwrap();
    assert!(serde_json::from_slice::<Value>(&seen.body).unwrap()["error"]["message"].is_string());

    endpoint.heal().unwrap();
    endpoint.reset_counts();
    let seen = post(&url, &batch).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap()[1]["result"], "0x7");
    assert_eq!((endpoint.requests(), endpoint.calls("eth_chainId"), endpoint.in_flight_max()), (1, 2, 1));
    for secret in endpoint.canaries() {
        let wrong = url.replace(&secret, "wrong");
        assert!(wrong == url || post(&wrong, &call).unwrap().status == "401", "{secret} is not asked for");
    }
    assert_eq!(endpoint.unauthorized(), 4, "user, password, path, query");
    evm.kill().unwrap();
    assert_eq!(post(&url, &call).unwrap().status, "502");
}

#[test]
fn wrong_answers_are_seen() {
    let evm = Evm::start(EvmOptions::new().chain_id(7)).unwrap();
    let contracts = Contracts::compiled().unwrap();
    let compiled = contracts.get("Token");
    let token = evm.deploy(compiled, &[18_u64.into()]).unwrap();
    evm.send(token, &compiled.calldata("mint(address,uint256)", &[account(1).into(), 9_u64.into()])).unwrap();
    let pin = evm.head().unwrap();
    let head = evm.mine(4).unwrap();
    let endpoint = FaultyEndpoint::start(&evm).unwrap();
    let set = |faults: &[Fault]| endpoint.set(faults).unwrap();
    let at = |hash| json!({ "blockHash": hash, "requireCanonical": true });
    let balance = |hash, holder: Address| {
        let call =
            json!({ "to": token, "data": hex::encode_prefixed(balance_of(compiled, holder)), "gas": "0x100000" });
        ask(&endpoint, "eth_call", json!([call, at(hash)]))
    };
    let word = |number: u64| json!(format!("{number:#066x}"));
    assert_eq!(balance(pin.hash, account(1)), word(9));

    set(&[Fault::WrongChainId(8)]);
    assert_eq!(ask(&endpoint, "eth_chainId", json!([])), "0x8");
    assert_eq!(ask(&endpoint, "net_version", json!([])), "8");

    set(&[Fault::OtherHash]);
    let block = ask(&endpoint, "eth_getBlockByNumber", json!([format!("{:#x}", pin.number), false]));
    let other: alloy_primitives::B256 = block["hash"].as_str().unwrap().parse().unwrap();
    assert_ne!(other, pin.hash);
    assert_eq!(ask(&endpoint, "eth_getBlockByHash", json!([other, false]))["number"], block["number"]);
    assert_eq!(balance(other, account(1)), word(9), "it knows its own fork");
    assert_ne!(balance(pin.hash, account(1)), word(9), "and no other");

    set(&[Fault::StuckAt(pin.number)]);
    assert_eq!(ask(&endpoint, "eth_blockNumber", json!([])), format!("{:#x}", pin.number));
    for (tag, number) in [("latest", pin.number), ("finalized", pin.number - 2)] {
        assert_eq!(ask(&endpoint, "eth_getBlockByNumber", json!([tag, false]))["number"], format!("{number:#x}"));
    }
    assert!(ask(&endpoint, "eth_getBlockByNumber", json!([format!("{:#x}", head.number), false])).is_null());
    assert!(ask(&endpoint, "eth_getBlockByHash", json!([head.hash, false])).is_null());
    assert_eq!(balance(pin.hash, account(1)), word(9));
    assert_eq!(balance(head.hash, account(1)), "header for hash not found");

    for (pruned, words) in
        [(Pruned::MissingTrieNode, "missing trie node"), (Pruned::HeaderNotFound, "header not found")]
    {
        set(&[Fault::PrunedHistory(pruned)]);
        let answer = balance(pin.hash, account(1));
        assert!(answer.as_str().unwrap().starts_with(words), "{answer}");
        assert_eq!(ask(&endpoint, "eth_getBalance", json!([account(1), "latest"])), "0x0");
    }

    let lie = |raw| Fault::Lie(Lie::Erc20 { token, holder: account(1), raw: U256::from(raw) });
    let other_lie = Fault::Lie(Lie::Erc20 { token, holder: account(2), raw: U256::from(4) });
    set(&[lie(1_000), other_lie]);
    assert_eq!([1, 2, 3].map(|number| balance(pin.hash, account(number))), [1_000, 4, 0].map(word));
    set(&[Fault::Lie(Lie::Constant { contract: token, number: U256::from(77) })]);
    assert_eq!([1, 2].map(|number| balance(pin.hash, account(number))), [word(77), word(77)]);
    set(&[Fault::Lie(Lie::Native { account: DEPLOYER, wei: U256::from(5) })]);
    assert_eq!(ask(&endpoint, "eth_getBalance", json!([DEPLOYER, at(pin.hash)])), "0x5");
    let code = hex::encode_prefixed([&hex!("73")[..], DEPLOYER.as_slice(), &hex!("3160005260206000f3")].concat());
    assert_eq!(ask(&endpoint, "eth_call", json!([{ "data": code }, at(pin.hash)])), word(5), "in calls, too");
    set(&[Fault::Unsteady(token)]);
    assert_ne!(balance(pin.hash, account(1)), balance(pin.hash, account(1)));
    set(&[Fault::GasCap(21_500)]);
    assert_ne!(balance(pin.hash, account(1)), word(9), "not enough gas");
    endpoint.heal().unwrap();
    assert_eq!(balance(pin.hash, account(1)), word(9));
}
