# SPDX-License-Identifier: BSD-3-Clause
"""What test_model.py knows of workspaces and arrays, in plain Python.

A handle is something that a program holds: an array, a view, a memoryview. It keeps the
bytes of a piece alive, which is what one allocation gave; and a piece lies in a home,
which is a workspace, or in NumPy's own heap, where home is None.
"""

import ctypes
import traceback

import numpy as np
import numpy.ma  # at first use it makes small arrays, which would be counted

import wspace


def raw(array):
    """Return the bytes of a contiguous array, to read and to write, without a copy."""
    return memoryview(array.view(np.uint8) if array.nbytes else bytearray())


class Home:
    """A workspace: what lives there, and what its statistics must say.

    Figures are exact but for what died in other threads and was perhaps not taken back
    yet: the `limbo` of the cycle. So a figure is a pair, of the least and of the most.
    """

    def __init__(self, config):
        self.fields = config
        self.ws = wspace.Workspace("model", **config)
        self.config = self.ws.config
        self.is_ring = self.config.reset == "ring"
        self.is_file = self.config.location == "mmap"
        self.granule = max(self.config.alignment, 128 if self.is_file else 64)
        self.over = 0  # in a ring checked arrays are valid from the next generation on
        self.is_open = False
        self.generation = self.cycles = 0
        self.live, self.survivors = set(), set()  # of the open cycle, of earlier ones
        self.allocations = self.escaped_count = 0
        self.passed_small = self.passed_foreign = 0
        self.last_peak = self.highest = (0, 0)
        self._begin()

    def _begin(self):
        self.peak = (0, 0)
        self.bar = 0.0  # what the high-water mark may come to
        self.limbo = self.limbo_retained = self.limbo_escaped = 0

    def enter(self):
        """Begin a cycle."""
        self.is_open = True
        self.generation += 1

    def leave(self):
        """End the cycle."""
        self.is_open = False
        self.cycles += 1
        if not self.is_ring:
            self.escaped_count += sum(piece.escapes for piece in self.live)
        self.survivors |= self.live
        self.live = set()
        self.last_peak = self.peak
        self.highest = tuple(map(max, self.highest, self.peak))
        self._begin()

    def spans(self, sizes):
        """Return what allocations take, at least and at most: no header in a file."""
        most = sum(map(self.ws._arena.bytes_for, sizes))
        if not self.is_file:
            return most, most
        return sum(-(-size // self.granule) * self.granule for size in sizes), most

    def end(self):
        """Release or close."""
        self.over = self.generation

    def note(self, *passing):
        """Follow the high-water mark; `passing` sizes are there for a moment."""
        sizes = [piece.asked for piece in self.live]
        sizes.extend(passing)
        least, most = self.spans(sizes)
        self.peak = (max(self.peak[0], least), max(self.peak[1], most + self.limbo))
        small = sum(size < 16 * self.granule for size in sizes)
        fair = 1.2 * sum(sizes) + 2 * self.granule * small
        self.bar = max(self.bar, fair + self.limbo)

    def check(self):
        """Compare with what the workspace says."""
        stats = self.ws.stats
        assert (stats.generation, stats.cycles) == (self.generation, self.cycles)
        assert self.ws.is_open == self.is_open
        assert self.ws._arena.check()
        least, most = self.spans([piece.asked for piece in self.live])
        assert least <= stats.used <= most + self.limbo
        retained = sum(piece.asked for piece in self.survivors)
        assert retained <= stats.retained <= retained + self.limbo_retained
        escaped = sum(piece.asked for piece in self.survivors if piece.escapes)
        if self.is_ring:
            escaped = 0
        assert escaped <= stats.escaped <= escaped + self.limbo_escaped
        assert stats.escaped_count == self.escaped_count
        assert stats.allocations == self.allocations
        assert stats.passed_small == self.passed_small
        assert stats.passed_foreign == self.passed_foreign
        self._check_peaks(stats)

    def _check_peaks(self, stats):
        assert self.peak[0] <= stats.cycle_high_water <= self.peak[1]
        assert stats.cycle_high_water <= self.bar
        assert self.last_peak[0] <= stats.last_high_water <= self.last_peak[1]
        least, most = map(max, self.highest, self.peak)
        assert least <= stats.high_water <= most
        if self.config.max_size is not None:
            assert stats.capacity <= self.config.max_size


class Piece:
    """The memory of one array: where it is, what is in it, whose it is."""

    def __init__(self, array, home, escapes):
        self.address = array.__array_interface__["data"][0]
        self.bytes = b"\0" * array.nbytes
        self.home = home
        self.generation = 0 if home is None else home.generation
        self.escapes = escapes  # counts as escaped when it survives
        self.handles = 0
        if home is not None:
            home.live.add(self)
            home.note()

    @property
    def asked(self):
        """What NumPy asks for; a byte where there is none."""
        return max(len(self.bytes), 1)

    def die(self, *, far=False):
        """Account for the death of the array; `far`: in another thread."""
        home = self.home
        if home is None:
            return
        if self in home.live:
            home.live.remove(self)
            home.limbo += far * home.ws._arena.bytes_for(self.asked)
            return
        home.survivors.remove(self)
        if far and home.is_open:
            home.limbo_retained += self.asked
            home.limbo_escaped += self.asked * self.escapes

    def check(self):
        """Compare the memory with what was written there, and its place."""
        assert ctypes.string_at(self.address, len(self.bytes)) == self.bytes
        if self.home is not None:
            assert self.address % self.home.granule == 0


class Handle:
    """Something that keeps bytes `low` to `high` of a piece alive and can read them."""

    def __init__(self, thing, piece, low, high, link=None):
        self.thing, self.piece, self.low, self.high = thing, piece, low, high
        self.link = link  # of a checked array: (home, generation), or (None, 0)
        piece.handles += 1

    def drop(self, *, far=False):
        """Account for a thing that is not held any more."""
        self.piece.handles -= 1
        if self.piece.handles == 0:
            self.piece.die(far=far)

    @property
    def is_array(self):
        """Say whether it is an array; else it is a memoryview."""
        return not isinstance(self.thing, memoryview)

    @property
    def is_usable(self):
        """Say whether it is an array that can be used."""
        return self.is_array and not self.is_stale

    @property
    def is_sole(self):
        """Say whether it is a plain array that nothing else looks into."""
        is_plain = self.is_array and self.link is None and self.thing.base is None
        return is_plain and self.piece.handles == 1

    @property
    def is_stale(self):
        """Say whether it is a checked array whose cycle is over."""
        if self.owner is None or self.link is None or self.in_scope:
            return False
        home, generation = self.link
        return not home.is_ring or generation <= home.over

    @property
    def owner(self):
        """The home of a checked array by its link, of others by their memory."""
        return self.piece.home if self.link is None else self.link[0]

    @property
    def in_scope(self):
        """Say whether the cycle that it belongs to is open."""
        home, generation = self.link or (self.piece.home, self.piece.generation)
        return home is not None and home.is_open and home.generation == generation

    @property
    def bytes(self):
        """What it must show."""
        return self.piece.bytes[self.low : self.high]

    def write(self, fresh):
        """Write through it."""
        if fresh:
            raw(self.thing)[:] = fresh
        before, after = self.piece.bytes[: self.low], self.piece.bytes[self.high :]
        self.piece.bytes = before + fresh + after

    def check(self):
        """Compare what it shows, and what wspace says of it."""
        if not self.is_array:
            assert bytes(self.thing) == self.bytes
            return
        assert wspace.is_stale(self.thing) == self.is_stale
        assert wspace.owner(self.thing) is (self.owner and self.owner.ws)
        assert wspace.is_attached(self.thing) == (self.owner is not None)
        assert wspace.in_scope(self.thing) == self.in_scope
        kind = np.ndarray if self.link is None else wspace.Array
        assert type(self.thing) is (wspace.StaleArray if self.is_stale else kind)
        if not self.is_stale:
            assert bytes(raw(self.thing)) == self.bytes


def check_disjoint(pieces):
    """Check that no two arrays share a byte."""
    end = 0
    for piece in sorted(pieces, key=lambda piece: piece.address):
        assert piece.address >= end
        end = piece.address + len(piece.bytes)


class Pause:
    """The block of `paused` in a stack, where its home is None as that of scope_out."""

    def __init__(self, home):
        self.home = home


class Program:
    """The state of a random program, and what its steps do to it."""

    def __init__(self):
        super().__init__()
        self.homes = []
        self.handles = []
        self.knotted = []  # handles whose things are in cycles of references
        self.stack = []  # (kind, home, context manager); kind may be a Pause
        self.written = 0

    # ---- what is current -------------------------------------------------------------

    def scopes(self):
        """Return the open homes, innermost first, each once."""
        return list(dict.fromkeys(home for _, home, _ in self.stack[::-1] if home))

    def current(self):
        return self.stack[-1][1] if self.stack else None

    def capturing(self):
        """Return the home whose handler is NumPy's current one."""
        for _, home, _ in reversed(self.stack):
            if home is None or home.config.capture:
                return home
        return None

    def is_paused(self, home):
        """Say whether the creators of an open home place nothing here."""
        for kind, other, _ in reversed(self.stack):
            if other is home or (isinstance(kind, Pause) and kind.home is home):
                return other is not home
        return False

    def goes_to(self, nbytes):
        """Return where NumPy's own allocation goes, and count what passes."""
        home = self.capturing()
        if home is not None and max(nbytes, 1) < home.config.min_block:
            home.passed_small += 1
            return None
        return home

    # ---- bookkeeping -----------------------------------------------------------------

    def choose(self, random, wanted=lambda handle: handle.is_usable):
        """Return a list of one of the handles, or an empty one."""
        fit = [handle for handle in self.handles if wanted(handle)]
        return [random.choice(fit)] if fit else []

    def fresh(self, size):
        """Return bytes that were nowhere before."""
        self.written += 1
        turn = bytes((self.written * 37 + i) % 251 + 1 for i in range(251))
        return (turn * (size // 251 + 1))[:size]

    def made(self, array, home, link=None, copied=None):
        """Account for a new array with memory of its own."""
        if home is not None:
            home.allocations += 1
        piece = Piece(array, home, escapes=link is None)
        handle = Handle(array, piece, 0, array.nbytes, link)
        self.handles.append(handle)
        if copied is None:
            handle.write(self.fresh(array.nbytes))
        else:
            piece.bytes = copied

    def attempt(self, home, function, *args, **kwargs):
        """Call what allocates in a home; None where it may not spill and is full."""
        try:
            return function(*args, **kwargs)
        except MemoryError as error:
            assert home is not None and home.config.spill == "fail"
            # The program goes on at once, and the frames that failed hold nothing.
            traceback.clear_frames(error.__traceback__)
            return None

    def resized(self, handle, old, content):
        """Account for an array that has other memory now, or more or less of it."""
        home, asked = old.home, max(len(content), 1)
        address = handle.thing.__array_interface__["data"][0]
        handle.high = len(content)
        if home is None or (address == old.address and old in home.live):
            old.address, old.bytes = address, content
            if home is not None:
                home.note()
            return
        target = home if home.is_open and asked >= home.config.min_block else None
        if asked < home.config.min_block:
            home.passed_small += 1
        elif target is None:
            home.passed_foreign += 1
        else:
            home.allocations += 1
        handle.piece = Piece(handle.thing, target, escapes=True)
        handle.piece.handles = 1
        handle.piece.bytes = content
        old.die()

    def detached(self, handle, result):
        if handle.owner is not None:
            self.made(result, None, copied=handle.bytes)
        elif handle.link is None:
            assert result is handle.thing
        else:  # a checked array of no workspace: there is nothing to copy
            self.handles.append(Handle(result, handle.piece, handle.low, handle.high))

    def copied_into(self, home, handle, function):
        is_there = handle.owner is home and handle.in_scope
        result = self.attempt(home, function, handle.thing)
        if result is None:
            return
        if handle.owner is None or is_there:
            assert result is handle.thing
        elif self.is_paused(home):
            self.made(result, None, copied=handle.bytes)
        else:
            link = (home, home.generation) if handle.link is not None else None
            self.made(result, home, link, handle.bytes)
