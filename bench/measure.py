"""What the measuring scripts share: options, texts, runs of quantspec bench that can be taken up
again, virtual environments and pictures.

A script makes a list of settings, `Runs` measures those that its file does not hold yet, and the
file then has every figure: so a long measurement may be cut into parts with --budget-s.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
MATPLOTLIB = "matplotlib==3.11.2"
# Of a line of quantspec bench, what is kept.
KEPT = ("gamma", "mean_gamma", "acceptance", "draft_ms", "verify_ms", "bytes_per_token")


def data_folder():
    share = os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share"
    return pathlib.Path(os.environ.get("QUANTSPEC_HOME") or pathlib.Path(share) / "quantspec")


def environment(folder, packages, variables=None):
    """The Python of the virtual environment `folder` under QUANTSPEC_HOME, made if missing."""
    folder = data_folder() / folder
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        print(f"installing {' '.join(packages)} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        # Wheels that pip compiled earlier may be for another instruction set.
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-cache-dir", *packages],
                       check=True, env={**os.environ, **(variables or {})})
        (folder / "ready").touch()
    return python


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else os.uname().machine}, {os.cpu_count()} cores"


def make_parser(description, name, tokens):
    """The options that every measurement has; `name` is that of its files."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--text", required=True, type=pathlib.Path, help="a long text, UTF-8")
    parser.add_argument("--quantspec", default=ROOT / "build/release/quantspec", type=pathlib.Path)
    parser.add_argument("--threads", default=None, type=int, help="default: physical cores")
    parser.add_argument("--tokens", default=tokens, type=int, help="tokens generated in each run")
    parser.add_argument("--stretches", default=3, type=int, metavar="S",
                        help="begin at this many places of the text; figures are means over them")
    parser.add_argument("--machine", default=cpu_name(), help="its name in the results")
    parser.add_argument("--out", default=pathlib.Path(f"{name}.json"), type=pathlib.Path,
                        help="results; runs that this file holds already are not repeated")
    parser.add_argument("--plot", default=pathlib.Path(f"{name}.svg"), type=pathlib.Path,
                        help="the picture, SVG or PNG by its name")
    parser.add_argument("--budget-s", default=float("inf"), type=float, metavar="SECONDS",
                        help="begin no run after this time; call again to go on")
    return parser


@contextlib.contextmanager
def stretches(path, count):
    """Files that hold the text from `count` paragraphs on, spread evenly for any count."""
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for index in range(count):
            # Multiples of the golden section; not the very ends, where a book has no prose.
            share = 0.02 + 0.88 * ((index + 1) * 0.618034 % 1)
            at = text.find("\n\n", int(share * len(text))) + 1
            files.append(pathlib.Path(folder) / f"stretch-{index}.txt")
            files[-1].write_text(text[at:].lstrip("\n"), encoding="utf-8")
        yield files


def bench(options, text, setting):
    """The lines of quantspec bench for one setting: weights, group, depth, gammas, turns (how often
    each gamma is measured; speeds are medians), ..."""
    command = [options.quantspec, "bench", "--model", options.model, "--file", text, "--json",
               "--tokens", setting["tokens"], "--repeat", setting.get("turns", 1),
               "--depth", setting["depth"],
               "--gamma", ",".join(map(str, setting["gammas"])),
               "--weights", setting["weights"], "--group", setting["group"],
               "--draft-exact-layers", setting.get("draft_exact_layers", "auto"),
               "--draft-context", setting.get("draft_context", "auto")]
    if options.threads:
        command += ["--threads", options.threads]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: error: {' '.join(map(str, command))} "
                 f"failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def command_line():
    """What of this call decides the figures, with files by their names only."""
    script = pathlib.Path(sys.argv[0])
    parts, words = [f"{script.resolve().parent.name}/{script.name}"], iter(sys.argv[1:])
    for word in words:
        if word in ("--quantspec", "--machine", "--out", "--plot", "--budget-s"):
            next(words)
        else:
            parts.append(pathlib.Path(word).name if pathlib.Path(word).is_file() else word)
    return " ".join(parts)


class Runs:
    """Measured settings, in a JSON file that grows with every run."""

    def __init__(self, kind, options, **same):
        """Takes up `options.out`, if it exists: of this kind and with these values of `same`."""
        self.options = options
        self.path = options.out
        self.file = {"runs": []}
        if self.path.exists():
            self.file = json.loads(self.path.read_text(encoding="utf-8"))
        here = {"kind": kind, "model": options.model.name, "text": options.text.name,
                "machine": options.machine, **same}
        for key, value in here.items():
            if self.file.setdefault(key, value) != value:
                sys.exit(f"{self.path}: holds results of {key} {self.file[key]!r}, not {value!r}; "
                         "name another file with --out")

    def _holds(self, setting):
        return any(run["setting"] == setting for run in self.file["runs"])

    def measure(self, settings):
        """Measures what is missing; False if the budget ended first."""
        start = time.monotonic()
        missing = [setting for setting in settings if not self._holds(setting)]
        with stretches(self.options.text, self.options.stretches) as texts:
            for index, setting in enumerate(missing):
                if time.monotonic() - start > self.options.budget_s:
                    print(f"{len(missing) - index} runs are left; call again to go on",
                          file=sys.stderr)
                    return False
                shown = " ".join(f"{key} {value}" for key, value in setting.items())
                print(f"{index + 1} of {len(missing)}: {shown}", file=sys.stderr)
                lines = bench(self.options, texts[setting["stretch"]], setting)
                self.file.update(isa=lines[0]["isa"], threads=lines[0]["threads"])
                if command_line() not in self.file.setdefault("commands", []):
                    self.file["commands"].append(command_line())
                self.file["runs"].append({"setting": setting, "lines": [
                    {**{key: line[key] for key in KEPT},
                     "tokens_per_s": line["decode_tokens_per_s"]["median"]} for line in lines]})
                self.write()
        return True

    def lines(self, gamma, **wanted):
        """Lines of this gamma from all runs whose setting has the wanted values; "of" tells runs
        apart that differ in nothing else."""
        return [{**line, "of": (run["setting"]["stretch"], run["setting"].get("repeat", 0))}
                for run in self.file["runs"] for line in run["lines"]
                if line["gamma"] == gamma
                and all(run["setting"][key] == value for key, value in wanted.items())]

    def values(self, key):
        """What `key` was set to in any run, sorted."""
        return sorted({run["setting"][key] for run in self.file["runs"]})

    def write(self, **summary):
        """Writes the file, each element of a list on a line, the runs last."""
        runs = self.file.pop("runs")
        self.file.update(summary, runs=runs)
        parts = []
        for key, value in self.file.items():
            text = json.dumps(rounded(value))
            if isinstance(value, list):
                text = "[\n" + ",\n".join("  " + json.dumps(rounded(v)) for v in value) + "\n ]"
            parts.append(f" {json.dumps(key)}: {text}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
        part.replace(self.path)

    def draw(self):
        """Draws the file with bench/plot.py, in a virtual environment of its own."""
        python = environment(f"plot/{MATPLOTLIB}", [MATPLOTLIB])
        self.options.plot.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, HERE / "plot.py", self.path, self.options.plot], check=True)


def rounded(value):
    """Floats inside `value` with 5 digits, which is finer than any measurement here."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def table(heads, rows):
    """Right-aligned columns of texts; None is shown as a dash."""
    cells = [heads] + [[cell or "-" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths))
                     for row in cells)


def mean(values):
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def spread(values):
    """Mean, least and largest value."""
    return {"mean": mean(values), "min": min(values), "max": max(values)}


def ratios(lines, bases):
    """Speeds of `lines` over those of `bases`, run by run."""
    base_of = {base["of"]: base["tokens_per_s"] for base in bases}
    return [line["tokens_per_s"] / base_of[line["of"]] for line in lines if line["of"] in base_of]
