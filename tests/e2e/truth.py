# SPDX-License-Identifier: Apache-2.0
"""The ground truth, integer for integer. An SLO over gen_scrapes_total counts scrape numbers: after window w it sums to
the number of the last scrape that the agent has counted, less the number of its first one. So the centre itself says
which scrape it stands at, the generator's log says what every other counter was in that scrape, and each other SLO must
agree in each window: whatever was killed meanwhile, and whichever scrapes were never counted because of it.

Three things only are not known beforehand, and are found by trying all that is possible, from one SLO, and then proved
by all the others: the first counted scrape; the last one counted before each reset of the generator (what came
between it and the reset nobody can know); and where counting went on after windows were shed."""
from generator import SLIS


class Mismatch(AssertionError):
    pass


def _counts(name, log, serial):
    return SLIS[name][1](log[serial])


def _increase(name, log, resets, before, last_before_reset, after):
    """(good, total) that counting from scrape `before` to `after` must give. last_before_reset: the scrape counted last
    in front of each reset that lies between, in order."""
    good = total = 0
    at = before
    for reset, last in zip(resets, last_before_reset):
        assert before <= last < reset <= after
        good += _counts(name, log, last)[0] - _counts(name, log, at)[0]
        total += _counts(name, log, last)[1] - _counts(name, log, at)[1]
        at = None
        # A counter that fell has begun at 0: all that it shows is increase.
    here = _counts(name, log, after)
    start = _counts(name, log, at) if at is not None else (0, 0)
    return good + here[0] - start[0], total + here[1] - start[1]


class Truth:
    def __init__(self, log, resets, names):
        self.log, self.resets, self.names = log, sorted(resets), names
        self.exact = [name for name in names if callable(SLIS[name][1])]
        self.compared = 0

    def _between(self, before, after):
        return [reset for reset in self.resets if before < reset <= after]

    def _fits(self, window, before, after):
        """The (good, total) of all exact SLOs agree for one choice of what was counted last before a reset."""
        if after not in self.log or before not in self.log or after < before:
            return f"scrape {after} after {before} was never served"
        resets = self._between(before, after)
        if len(resets) > 1:
            raise Mismatch(f"two resets {resets} in one window: the test is wrong, not the program")
        choices = [[last] for last in range(before, resets[0])] if resets else [[]]
        worst = "no choice"
        for choice in choices:
            wrong = [f"{name}: the centre says {(window[name]['good'], window[name]['total'])}, true is {true}"
                     for name in self.exact for true in [_increase(name, self.log, resets, before, choice, after)]
                     if (window[name]["good"], window[name]["total"]) != true]
            if not wrong:
                return None
            worst = "; ".join(wrong)
        return worst

    def _scrape_count(self, window):
        if window["scrapes"]["good"] != window["scrapes"]["total"]:
            raise Mismatch(f"good {window['scrapes']['good']} of {window['scrapes']['total']} where each is good")
        return window["scrapes"]["total"]

    def _find_start(self, window, lowest):
        """The scrape counted last before this window."""
        count = self._scrape_count(window)
        found = [before for before in range(lowest, max(self.log) - count + 1) if self._fits(window, before, before + count) is None]
        if not found:
            raise Mismatch(f"no scrape from {lowest} on fits the window {window}")
        return found

    def check(self, windows, holes=()):
        """windows: {start: {name: point}}, each with all names; holes: starts that were shed. Returns the number of the
        last counted scrape."""
        beginning = True  # until anything was counted
        at = None  # possible numbers of the last counted scrape; one is left as soon as anything was counted
        for start in sorted([*windows, *holes]):
            window = windows.get(start)
            if window is None:
                at = list(range(min(at) if at else 1, max(self.log) + 1))
                continue
            first = at is None or beginning
            if at is None:
                # A first window may hold nothing but the first scrape, which is where counting starts.
                at = list(range(1, max(self.log) + 1))
            count = self._scrape_count(window)
            fitting, why = [], None
            for before in at:
                reason = self._fits(window, before, before + count)
                if reason is None:
                    fitting.append(before + count)
                why = reason or why
            if not fitting:
                raise Mismatch(f"window {start}, scrapes {at[0]}{'...' if len(at) > 1 else ''} + {count}: {why}")
            at = fitting
            beginning = beginning and count == 0
            self._check_gauge(start, window, at, first)
            self.compared += len(window)
        if at is None or len(at) != 1:
            raise Mismatch(f"nothing was counted that tells which scrape it was ({0 if at is None else len(at)} possible)")
        return at[0]

    def _check_gauge(self, start, window, at, first):
        """One event for each scrape seen; all names agree on how many were seen and expected. In the first window the
        scrape that counting starts from is seen too."""
        seen = {(point["seen"], point["expected"]) for point in window.values()}
        if len(seen) != 1:
            raise Mismatch(f"window {start}: scrapes seen and expected differ between SLOs of one target: {seen}")
        for name, point in window.items():
            if point["seen"] > point["expected"]:
                raise Mismatch(f"window {start}, {name}: {point['seen']} seen of {point['expected']} expected")
            if (point["seen"] < point["expected"]) and not point["unknown"]:
                raise Mismatch(f"window {start}, {name}: a gap that is not said to be unknown: {point}")
            if point["good"] > point["total"]:
                raise Mismatch(f"window {start}, {name}: more good than total: {point}")
        if "temperature" not in window:
            return
        point = window["temperature"]
        if point["total"] != point["seen"]:
            raise Mismatch(f"window {start}: {point['total']} gauge events in {point['seen']} scrapes")
        if len(at) != 1 or first:
            return
        after, count = at[0], self._scrape_count(window)
        good = sum(self.log[serial]["temperature"] < 50 for serial in range(after - count + 1, after + 1))
        # All served scrapes of the window were counted: then it is known which. Else some of them were.
        if point["seen"] == count and point["good"] != good:
            raise Mismatch(f"window {start}: {point['good']} good gauge events, true is {good}")
        if not good - (count - point["seen"]) <= point["good"] <= good and point["seen"] <= count:
            raise Mismatch(f"window {start}: {point['good']} good gauge events of at most {good}")


def gapless(facts):
    """Versions of each aggregate are 1, 2, 3 ...; sequences increase; no window is recorded twice."""
    versions, last_sequence, recorded = {}, 0, set()
    for fact in facts:
        subject = fact["subject"]
        key = (subject["aggregateType"], subject["aggregateId"])
        version, sequence = int(subject["aggregateVersion"]), int(fact["sequence"])
        if sequence <= last_sequence:
            raise Mismatch(f"sequence {sequence} after {last_sequence}")
        last_sequence = sequence
        if version != versions.get(key, 0) + 1:
            raise Mismatch(f"{key}: version {version} after {versions.get(key, 0)}")
        versions[key] = version
        if "sliWindowRecorded" in fact:
            window = fact["sliWindowRecorded"].get("window", fact["sliWindowRecorded"])
            identity = (window["sloId"], window.get("clusterId"), window.get("agent"), window["windowStart"],
                        window.get("revision"))
            if identity in recorded:
                raise Mismatch(f"recorded twice: {identity}")
            recorded.add(identity)
    return len(versions), len(facts)
