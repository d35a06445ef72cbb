"""Steps of run.sh: the document of a node with examples of its chain; whether the node is well."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

with open(f"{os.environ['DIR']}/network.json") as file:
    URL = f"http://127.0.0.1:{json.load(file)['nodes'][0]['rpc_port']}"


def ask(method, **params):
    """The result of a method."""
    query = urllib.parse.urlencode(params)
    with urllib.request.urlopen(f"{URL}/{method}?{query}", timeout=30) as answer:
        told = json.load(answer)
    if "error" in told:
        sys.exit(f"{method} {params}: {told['error']}")
    return told["result"]


def examples():
    """Values that there are on this chain, by parameter, and by method and parameter."""
    found = ask("tx_search", query="\"record_put.key EXISTS\"", order_by="\"desc\"", per_page=1)["txs"][0]
    puts = [event for event in found["tx_result"]["events"] if event["type"] == "record_put"]
    put = {one["key"]: one["value"] for one in puts[0]["attributes"]}
    name = f"\"{put['data_set']}\""
    record = ask("records", data_set=name, limit=1)["records"][0]
    block = ask("block", height=found["height"])["block_id"]["hash"]
    member = ask("nodes")["nodes"][0]
    of_tx, of_block = f"0x{found['hash']}", f"0x{block}"
    return {
        "height": int(found["height"]), "hash": of_tx, "data_set": name, "key": f"0x{record['key']}",
        "organization": f"\"{member['organization']}\"", "tx": f"0x{base64.b64decode(found['tx']).hex()}",
        "path": f"\"/records/{put['data_set']}\"", "blocks": 10, "limit": 10, "before": None, "after": None,
        "block_by_hash.hash": of_block, "header_by_hash.hash": of_block, "key.key": f"0x{member['key']}",
        "may_read.key": f"0x{member['key']}", "may_read.record": f"0x{record['key']}", "minHeight": 1,
        "query": "\"record_put.key EXISTS\"", "block_search.query": "\"block.height > 0\"", "prove": True,
        "abci_query.prove": False, "abci_query.height": 0, "chunk": 0,
    }


def document():
    """Prints the document, with those examples."""
    with urllib.request.urlopen(f"{URL}/openapi.json", timeout=30) as answer:
        text = json.load(answer)
    known = examples()
    for path, ways in text["paths"].items():
        for parameter in ways.get("get", {}).get("parameters", []):
            of_method = f"{path[1:]}.{parameter['name']}"
            example = known.get(of_method, known.get(parameter["name"], parameter.get("example")))
            parameter.pop("example", None)
            if example is not None and "schema" in parameter:
                parameter["example"] = example
    json.dump(text, sys.stdout)


def height():
    """Prints the height of the newest block."""
    print(ask("status")["sync_info"]["latest_block_height"])


def well(before):
    """The node is well, within a minute, and the chain has gone on since that height."""
    until = time.monotonic() + 60
    while True:
        try:
            ask("health")
            break
        except urllib.error.HTTPError as error:
            if time.monotonic() > until:
                sys.exit(f"the node is not well: {error.read().decode()}")
            time.sleep(1)
    now = int(ask("status")["sync_info"]["latest_block_height"])
    if now <= int(before):
        sys.exit(f"the chain stands at height {now}")
    print(f"the node is well, {now - int(before)} blocks later")


def url():
    """Prints where the node answers."""
    print(URL)


{"document": document, "height": height, "well": well, "url": url}[sys.argv[1]](*sys.argv[2:])
