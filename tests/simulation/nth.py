# SPDX-License-Identifier: Apache-2.0
"""A short run, again and again, in which one call of the store or one allocation fails: the first, the second, ... and so on
until there is none left to fail. Whatever it strikes, the opening of the journal included, the answers, the states and the
log must be those of the model."""
import multiprocessing
import random
import shutil

KINDS = {"store-system": 3, "store-full": 4, "no-memory": 5}
NEVER = 1 << 31
PROCESSES = 2


def run_one(make, kind, n):
    """(difference or None, whether it struck, how many calls there were)"""
    folder, simulation = make(KINDS[kind], n)
    try:
        simulation.run(told=False)
        return None, simulation.struck, simulation.calls
    except AssertionError as difference:
        story = "\n".join(f"    {line}" for line in simulation.story)
        return f"{story}\n{kind}, call {n}: {difference}", True, 0
    finally:
        simulation.driver.process.kill()
        simulation.driver.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _worker(make, kind, numbers, results):
    for n in numbers:
        difference, struck, _ = run_one(make, kind, n)
        results.put((n, struck, difference))
        if difference or not struck:
            break
    results.put(None)


def sweep(make, kind, sample, chance):
    """(how many calls were made to fail, what was wrong)"""
    difference, _, calls = run_one(make, kind, NEVER)  # without any
    if difference:
        return 0, [difference]
    if sample and sample < calls:
        numbers = sorted(chance.sample(range(1, calls + 1), sample))
    else:
        numbers = range(1, NEVER)
    results, waiting, struck, wrong = multiprocessing.Queue(), PROCESSES, set(), []
    workers = [multiprocessing.Process(target=_worker, args=(make, kind, numbers[i::PROCESSES], results))
               for i in range(PROCESSES)]
    for worker in workers:
        worker.start()
    while waiting:
        result = results.get()
        if result is None:
            waiting -= 1
            continue
        if result[1]:
            struck.add(result[0])
        if result[2]:
            wrong.append(result[2])
    for worker in workers:
        worker.join()
    print(f"{kind}: {calls} calls without a failure; {len(struck)} runs with one, up to call {max(struck, default=0)}", flush=True)
    return len(struck), wrong


def all_of_it(make, kinds, sample, seed):
    """The number of differences."""
    chance, found = random.Random(seed), []
    for kind in kinds:
        found += sweep(make, kind, sample, chance)[1]
    for text in found:
        print(text)
    return len(found)
