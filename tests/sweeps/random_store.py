"""Random stores with sweeps, outcomes, reports and leases, and a slow model of what is needed."""

import json
import os
import random
import time
from pathlib import Path

from sweeps.store.refs import LeafRef, Ref, this_host, write_ref
from sweeps.store.store import Store

HOUR = 3600


def key_of(name: str) -> str:
    return (name * 32)[:32]


def stamp(path: Path, when: float) -> None:
    os.utime(path, (when, when))


class World:
    """A store below `folder` with random sweeps beside it. `facts` is what was laid down."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random, self.folder, self.now = random.Random(seed), folder, time.time()
        self.store = Store(str(folder / "stages"), patience=0.5)
        self.keys = [key_of(f"{number:02x}") for number in range(16)]
        self.present = [key for key in self.keys if self.random.random() < 0.8]
        self.young = {key for key in self.present if self.random.random() < 0.15}
        self.size, self.committed = {}, {}
        self.store.establish()
        for key in self.present:
            self._lay(key)
        self.sweeps = [self._sweep(number) for number in range(self.random.randint(0, 4))]
        self.leases = [self._lease(number) for number in range(self.random.randint(0, 2))]

    def _lay(self, key: str) -> None:
        self.store.put(key, {"state.pt": bytes(self.random.randint(1, 5000)), "n": key.encode()})
        age = self.random.uniform(0, 0.9) if key in self.young else self.random.uniform(1.1, 99)
        folder = Path(self.store.root, key[:2], key)
        for path in folder.iterdir():
            stamp(path, self.now - age * HOUR)
        self.size[key] = sum(path.stat().st_size for path in folder.iterdir())
        self.committed[key] = self.now - age * HOUR

    def _sweep(self, number: int) -> dict:
        pick, name = self.random, f"sweep-{number}"
        where = pick.choice(["here", "here", "here", "gone", "elsewhere", "unmounted"])
        base = self.folder / ("away" if where == "unmounted" else "out")
        leaves = {}
        for leaf in range(pick.randint(1, 3)):
            path = pick.sample(self.keys, pick.randint(1, 6))
            epochs = range(1, len(path) + 1)
            snapshots = tuple(sorted(pick.sample(epochs, pick.randint(0, len(path)))))
            ended = pick.choice(["FINISHED"] * 5 + ["FAILED", "none", "other run", "torn"])
            last = pick.choice([len(path), len(path), pick.choice(epochs)])
            leaves[f"exp{leaf}"] = {
                "keys": path, "snapshots": snapshots, "ended": ended, "last": path[last - 1],
            }  # fmt: skip
        facts = {
            "name": name, "where": where, "leaves": leaves,
            "report": pick.choice(["fresh"] * 4 + ["old", "none", "other sweep's"]),
            "champion": pick.choice([None, None, *leaves]),
            "model": pick.choice([None, None, *leaves]),
        }  # fmt: skip
        self._write(facts, base / name)
        return facts

    def _write(self, facts: dict, folder: Path) -> None:
        ref = Ref(
            sweep=facts["name"],
            folder=str(folder),
            host=this_host() if facts["where"] != "elsewhere" else "another-host",
            leaves={
                name: LeafRef(keys=tuple(leaf["keys"]), snapshots=leaf["snapshots"])
                for name, leaf in facts["leaves"].items()
            },
        )
        write_ref(self.store, ref)
        (self.folder / "out" / "something").mkdir(parents=True, exist_ok=True)
        if facts["where"] != "here":
            return
        (folder / "outcomes").mkdir(parents=True)
        for name, leaf in facts["leaves"].items():
            key = "of another run" if leaf["ended"] == "other run" else leaf["keys"][-1]
            status = "FAILED" if leaf["ended"] == "FAILED" else "FINISHED"
            text = json.dumps({"status": status, "key": key, "last_stage": leaf["last"]})
            if leaf["ended"] != "none":
                path = folder / "outcomes" / f"{name}.json"
                path.write_text(text[:-9] if leaf["ended"] == "torn" else text)
                stamp(path, self.now - 5000)
        other = facts["report"] == "other sweep's"
        champion = {"trial": facts["champion"]} if facts["champion"] else None
        summary = {"sweep": "other" if other else facts["name"], "champion": champion}
        (folder / "sweep.json").write_text(json.dumps(summary))
        stamp(folder / "sweep.json", self.now - 4000)
        if facts["model"]:
            (folder / "models" / facts["model"]).mkdir(parents=True)
        if facts["report"] != "none":
            (folder / "report.html").write_text("<html>")
            stamp(folder / "report.html", self.now - (4500 if facts["report"] == "old" else 3000))

    def _lease(self, number: int) -> dict:
        facts = {
            "keys": self.random.sample(self.keys, self.random.randint(0, 3)),
            "age": self.random.choice([1, 30, 90, 4000]),
        }
        path = Path(self.store.root, "leases", f"{number}.json")
        path.parent.mkdir(exist_ok=True)
        beat = {"keys": facts["keys"], "host": "node1", "pid": 7, "beat": self.now}
        path.write_text(json.dumps(beat))
        stamp(path, self.now - facts["age"])
        return facts

    def is_needed(self, key: str) -> bool:
        """The rules of docs/store.md, one after the other."""
        if key in self.young:
            return True
        if any(key in lease["keys"] and lease["age"] < 60 for lease in self.leases):
            return True
        return any(self._needed_by(sweep, key) for sweep in self.sweeps)

    def _needed_by(self, sweep: dict, key: str) -> bool:
        paths = [leaf for leaf in sweep["leaves"].values() if key in leaf["keys"]]
        if sweep["where"] == "gone":
            return False
        if sweep["where"] != "here":
            return bool(paths)
        for name, leaf in sweep["leaves"].items():
            if key not in leaf["keys"]:
                continue
            if leaf["ended"] != "FINISHED":
                return True
            snapshot = leaf["keys"].index(key) + 1 in leaf["snapshots"] or key == leaf["last"]
            if snapshot and (sweep["report"] != "fresh" or name in (
                sweep["champion"], sweep["model"],
            )):  # fmt: skip
                return True
        return False
