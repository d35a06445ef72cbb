"""Steps of run.sh: the metrics of every node by promtool, the queries of the dashboard, an alert."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

DOCS = os.environ["DOCS"]
PROMETHEUS = f"http://127.0.0.1:{os.environ['PORT']}"


def ask(path, **query):
    """An answer of Prometheus' own API; what is wrong with a query ends the script."""
    url = f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{query}: {error.read().decode()}")


def metrics():
    """promtool finds nothing wrong with what any node serves; prints a configuration for Prometheus."""
    with open(f"{os.environ['DIR']}/network.json") as file:
        ports = [node["metrics_port"] for node in json.load(file)["nodes"]]
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read()
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        said = (checked.stdout + checked.stderr).decode()
        if checked.returncode != 0 or said.strip():
            sys.exit(f"promtool check metrics at port {port}: {said}")
    print(f"promtool check metrics: nothing wrong at {len(ports)} nodes", file=sys.stderr)
    targets = [f"127.0.0.1:{port}" for port in ports]
    print(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{DOCS}/alerts.yml"],
        "scrape_configs": [{"job_name": "tandem", "static_configs": [{"targets": targets}]}],
    }))


def queries():
    """Title and query of every panel and variable of the dashboard."""
    with open(f"{DOCS}/dashboard.json") as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        for query in re.findall(r"^label_values\((.*), \w+\)$", variable["query"]):
            yield f"variable {variable['name']}", query


def dashboard():
    """Every query of the dashboard returns data, and no rule fails."""
    chain = ask("query", query="tandem_consensus_height")["result"][0]["metric"]["chain_id"]
    values = {"$chain_id": chain, "$instance": ".*", "$__rate_interval": "20s"}
    empty = []
    count = 0
    for title, query in queries():
        for name, value in values.items():
            query = query.replace(name, value)
        count += 1
        if not ask("query", query=query)["result"]:
            empty.append(f"{title}: {query}")
    if empty:
        sys.exit("no data: " + "\n".join(empty))
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    bad = [rule["name"] for rule in rules if rule["health"] != "ok"]
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    # The disk of the machine that this runs on is its own matter.
    firing = [name for name in firing if not name.startswith("TandemDisk")]
    if bad or firing or not rules:
        sys.exit(f"rules that fail: {bad}; alerts of a network that is well: {firing}")
    print(f"{count} queries of the dashboard return data; {len(rules)} rules are evaluated, none fires")


def alert(name, organization):
    """An alert for this organisation fires within minutes, and within no time for any other."""
    for _ in range(280):
        firing = [
            a["labels"]["organization"]
            for a in ask("alerts")["alerts"]
            if a["labels"]["alertname"] == name and a["state"] == "firing"
        ]
        if firing == [organization]:
            return print(f"{name} fires for {organization} alone")
        if firing:
            sys.exit(f"{name} fires for {firing}")
        time.sleep(1)
    sys.exit(f"{name} does not fire for {organization}")


{"metrics": metrics, "dashboard": dashboard, "alert": alert}[sys.argv[1]](*sys.argv[2:])
