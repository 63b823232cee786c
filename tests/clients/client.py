"""pytezos against a simulated layer 1: originate a rollup, send messages, transfer, read receipts.

Usage: client.py URL SECRET_KEY KERNEL_FILE. Every check fails loudly; the last line says "ok".
pytezos has no helper for originating a rollup: the node forges, pytezos signs and injects.
"""

import sys

from pytezos import Key, pytezos
from pytezos.rpc.node import RpcError, RpcNotFoundError

UNKNOWN_ROLLUP = "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN"


def say(what):
    print(f"pytezos: {what}", flush=True)


def result_of(group, index=0):
    return group["contents"][index]["metadata"]["operation_result"]


def included(client, group):
    """Injects a signed group and returns it as the block that includes it shows it."""
    return group.inject(min_confirmations=1, num_blocks_wait=30)


def originate(client, kernel):
    head = client.shell.head
    source = client.key.public_key_hash()
    content = {
        "kind": "smart_rollup_originate",
        "source": source,
        "fee": "0",
        "counter": str(int(client.shell.contracts[source].counter()) + 1),
        "gas_limit": "200000",
        "storage_limit": "60000",
        "pvm_kind": "wasm_2_0_0",
        "kernel": kernel,
        "parameters_ty": {"prim": "bytes"},
    }
    unsigned = {"branch": head.hash(), "contents": [content]}
    simulated = client.shell.node.post(
        "/chains/main/blocks/head/helpers/scripts/simulate_operation",
        json={
            "operation": {**unsigned, "signature": client.context.get_dummy_signature()},
            "chain_id": client.shell.chains.main.chain_id(),
        },
    )
    estimate = result_of(simulated)
    assert estimate["status"] == "applied", estimate
    content["gas_limit"] = str(int(estimate["consumed_milligas"]) // 1000 + 100)
    content["storage_limit"] = estimate["size"]
    content["fee"] = str(1_000 + len(kernel) // 2 + int(content["gas_limit"]) // 10)
    forged = client.shell.head.helpers.forge.operations.post(unsigned)
    signature = client.key.sign(b"\x03" + bytes.fromhex(forged), generic=True)
    preapplied = client.shell.head.helpers.preapply.operations.post(
        [{**unsigned, "protocol": head.header()["protocol"], "signature": signature}]
    )
    assert result_of(preapplied[0])["status"] == "applied", preapplied
    operation = forged + raw(signature)
    opg_hash = client.shell.injection.operation.post(operation)
    found = client.shell.wait_operations([opg_hash], ttl=30, min_confirmations=1)[0]
    result = result_of(found)
    assert result["status"] == "applied", result
    assert result["genesis_commitment_hash"].startswith("src1"), result
    burned = [u for u in result["balance_updates"] if u.get("category") == "storage fees"]
    assert burned and int(burned[0]["change"]) == 250 * int(result["size"]), result
    return result["address"]


def raw(signature):
    from pytezos.michelson.forge import forge_base58

    return forge_base58(signature).hex()


def check_rollup(client, rollup):
    rollups = client.shell.head.context.smart_rollups
    assert rollup in rollups.all()
    one = rollups.smart_rollup[rollup]
    assert one.kind() == "wasm_2_0_0"
    genesis = one.genesis_info()
    cemented = one.last_cemented_commitment_hash_with_level()
    assert cemented == {"hash": genesis["commitment_hash"], "level": genesis["level"]}
    assert one.stakers() == []
    try:
        rollups.smart_rollup[UNKNOWN_ROLLUP].kind()
        raise AssertionError("an unknown rollup has a kind")
    except RpcError as error:
        assert "smart_rollup_does_not_exist" in str(error), error


def check_paths(client):
    assert client.shell.version()["network_version"]["chain_name"]
    constants = client.shell.head.context.constants()
    assert int(constants["smart_rollup_commitment_period_in_blocks"]) > 0
    assert client.shell.head.protocols()["protocol"] == client.shell.head.header()["protocol"]
    assert client.shell.head.metadata()["level_info"]["level"] == client.shell.head.metadata()["level_info"]["level_position"] + 1
    assert len(client.shell.head.live_blocks()) > 1
    assert client.shell.mempool.filter()["minimal_fees"] == "100"
    delegates = client.shell.head.context.delegates
    baker = delegates()[0]
    assert int(delegates[baker].staking_balance()) > 0
    assert delegates[baker]()["deactivated"] is False
    for path in ("nonsense", "context/nonsense"):
        try:
            client.shell.node.get(f"/chains/main/blocks/head/{path}")
            raise AssertionError(f"{path} exists")
        except RpcNotFoundError:
            pass


def main(url, secret, kernel_file):
    client = pytezos.using(shell=url, key=secret)
    with open(kernel_file, "rb") as file:
        kernel = file.read().hex()
    check_paths(client)
    say("paths")

    rollup = originate(client, kernel)
    check_rollup(client, rollup)
    say(f"originated {rollup}")

    messages = [b"one", b"two"]
    found = included(client, client.smart_rollup_add_messages(messages).autofill().sign())
    assert result_of(found)["status"] == "applied", found
    assert found["contents"][0]["message"] == [m.hex() for m in messages]
    inbox = client.shell.head.context.smart_rollups.all.inbox()
    assert inbox["level"] >= 1
    say("messages in the inbox")

    # A key that nobody has seen: funded, revealed, and spending, each with its receipt.
    child = Key.generate(export=False)
    address = child.public_key_hash()
    found = included(client, client.transaction(destination=address, amount=5_000_000).autofill().sign())
    result = result_of(found)
    assert result["status"] == "applied" and result["allocated_destination_contract"], result
    assert int(client.shell.contracts[address].balance()) == 5_000_000
    assert client.shell.contracts[address].manager_key() is None
    other = client.using(key=child)
    back = other.bulk(other.reveal(), other.transaction(destination=client.key.public_key_hash(), amount=1_000_000))
    found = included(other, back.autofill().sign())
    assert [result_of(found, i)["status"] for i in (0, 1)] == ["applied", "applied"], found
    fees = sum(int(content["fee"]) for content in found["contents"])
    assert int(client.shell.contracts[address].balance()) == 4_000_000 - fees
    assert client.shell.contracts[address].manager_key() == child.public_key()
    assert client.shell.contracts[address].counter() == found["contents"][1]["counter"]
    say("a new account was funded, revealed its key and paid back")

    # Whom the one baker bakes for.
    baker = client.shell.head.context.delegates()[0]
    found = included(other, other.delegation(delegate=baker).autofill().sign())
    assert result_of(found)["status"] == "applied", found
    assert client.shell.contracts[address].delegate() == baker
    say("an account chose its delegate")

    # Two operations with one counter: at the same fee the second is refused and told its price. A
    # block may come in between; then the counter is used.
    first, second = (
        client.transaction(destination=address, amount=amount).autofill().sign() for amount in (1, 2)
    )
    client.shell.injection.operation.post(first.binary_payload())
    try:
        client.shell.injection.operation.post(second.binary_payload())
        raise AssertionError("two operations with one counter wait")
    except RpcError as error:
        assert "would need a total fee of at least" in str(error) or "already used" in str(error), error
    say("a second operation of a source is refused")

    # What the account cannot pay fails in simulation and is told by its identifier.
    try:
        other.transaction(destination=client.key.public_key_hash(), amount=10**12).autofill()
        raise AssertionError("spent more than there is")
    except RpcError as error:
        assert "balance_too_low" in str(error) or "subtraction_underflow" in str(error), error
    say("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
