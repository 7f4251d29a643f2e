"""Prints the table of scripts/demo from a folder of WEIGHTS.GAMMA.json files.

Exits 1 if a speculative run of the same weights gave other tokens or another cache than plain
decoding (gamma 0).
"""

import json
import pathlib
import sys


def main():
    folder = pathlib.Path(sys.argv[1])
    differing = []
    print(f"{'weights':8}{'gamma':>6}{'tokens/s':>10}{'against plain':>15}{'accepted':>10}"
          f"{'memory MB':>11}{'prefill/s':>11}  output")
    for plain_path in sorted(folder.glob("*.0.json")):
        weights = plain_path.name.split(".")[0]
        plain = json.loads(plain_path.read_text())
        for gamma in ("0", "auto", "4"):
            run = json.loads((folder / f"{weights}.{gamma}.json").read_text())
            same = all(run[key] == plain[key] for key in ("tokens", "cache_digest"))
            if not same:
                differing.append(f"--weights {weights} --gamma {gamma}")
            speed = run["decode_tokens_per_s"]
            accepted = f"{run['acceptance']:.0%}" if run["drafted"] else "-"
            output = "plain" if gamma == "0" else "identical" if same else "DIFFERENT"
            print(f"{weights:8}{gamma:>6}{speed:10.1f}"
                  f"{speed / plain['decode_tokens_per_s']:14.2f}x{accepted:>10}"
                  f"{run['memory_bytes']['total'] / 1e6:11.0f}"
                  f"{run['prefill_tokens_per_s']:11.0f}  {output}")
    print(f"{plain['prompt_tokens']} tokens read, {plain['threads']} threads, {plain['isa']}")
    if differing:
        sys.exit("demo: error: the output differs from plain decoding: " + "; ".join(differing))


if __name__ == "__main__":
    main()
