"""Tell the whole market breaker stories for as long as it is given, and hold every step against the invariants of spec §6.3.

    python -m tests.bench.soak_breaker [--minutes N] [--seed S] [--stories K] [--steps L]

Stories come in batches, each with a seed that is printed before it begins. A batch that breaks the law is told again from its seed and its
story made as short as it can be; it says which invariant, and how to have it told once more:

    python -m tests.bench.soak_breaker --seed 4711 --once

Exit status 0: no story broke the law; how many reached each state is printed. 1: one did.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from market.decisions import Phase
from market.facts import Segment
from tests.property.test_breaker_machine import Breaker, tell

_SEEDS = 10**9


def main() -> int:
    """Tell stories; return how the process ends."""
    options = _options()
    seeds = random.Random(options.seed)
    began_s, stories = time.monotonic(), 0
    seed = seeds.randrange(_SEEDS) if options.seed is None else options.seed
    while True:
        print(f"seed {seed}: {options.stories} stories", flush=True)
        try:
            tell(options.stories, seed, steps=options.steps, minimal=options.once)
        except Exception:
            if options.once:
                raise
            again = f"--seed {seed} --once --stories {options.stories} --steps {options.steps}"
            print(f"seed {seed} broke the law; its shortest story: python -m tests.bench.soak_breaker {again}", file=sys.stderr)
            raise
        stories += options.stories
        if options.once or time.monotonic() - began_s >= options.minutes * 60:
            break
        seed = seeds.randrange(_SEEDS)
    print(f"{stories} stories in {time.monotonic() - began_s:.0f} s; no step broke the law. Stories that reached")
    for which in Segment:
        print(f"  {which}: " + ", ".join(f"{phase} {Breaker.reached[which, phase]}" for phase in Phase))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="tell the market breaker stories and hold it to the law")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, at least (10)")
    parser.add_argument("--seed", type=int, help="of the first batch; the others follow from it")
    parser.add_argument("--once", action="store_true", help="one batch only, and the shortest story that breaks the law")
    parser.add_argument("--stories", type=int, default=200, help="in a batch (200)")
    parser.add_argument("--steps", type=int, default=20, help="of a story, at most (20)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
