"""A proxy between a Redis client and a Redis server that understands what goes through, and can make it go wrong.

    with proxy.redis.Proxy(server.port) as p:             # a thread of its own, a loopback port of the system's choice
        fault = p.on("EXEC", Close(after=True))           # the next EXEC is executed, and its answer lost
        …
        fault.wait(10)                                    # until it has happened

A rule is what it waits for and what it does then. It waits for commands by name, or by a function of a Command, which
knows what was queued before an EXEC: `p.on(commit_of(3), …)` is the EXEC that moves shard 3. `skip=n` lets n of them
pass first (drop the n-th command), `times=None` is for ever. The first rule that fits acts; with none, all passes.

    Close(after=False)   the connection is closed: before the command was passed on, or after the server answered it
    Swallow()            passed on, and answered; the answer and all after it go nowhere, the connection stays open
    Drop()               not passed on, never answered; the connection stays open, what follows goes through
    Delay(seconds)       passed on; the answer waits, and with it what is behind it. Delay(): until fault.release()
    Dribble(seconds)     passed on; the answer comes byte by byte, with such a pause before each, so that no time-out of the
                         client's ends the call; its rest at once with fault.release()
    Hold()               the client's connection is closed, the server's stays: the command reaches the server only with
                         fault.release(), which returns the server's answer: an EXEC that comes late
    Late(seconds)        the same by itself, after so long
    Answer(b"-BUSY …")   not passed on; this is the answer
    Freeze()             from here on nothing of this connection is passed on in either direction; it stays open

For all connections at once: freeze() and thaw() (half-open: nothing passes, nothing is closed, new ones are taken),
refuse() and accept() (nobody listens), cut() (closes all), point(port) (another server for new connections).
"""

import asyncio
import collections
import concurrent.futures
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import ground  # noqa: E402

LIMIT = 1 << 26


class Command:
    """One command of a client. words: bytes; queued: the commands since MULTI when this is EXEC, else empty."""

    __slots__ = ("words", "queued", "connection", "raw")

    def __init__(self, words, queued, connection, raw):
        self.words, self.queued, self.connection, self.raw = words, queued, connection, raw

    @property
    def name(self):
        return self.words[0].decode("latin-1").upper() if self.words else ""

    def __repr__(self):
        shown = b" ".join(w[:40] for w in self.words[:4]).decode("latin-1")
        return f"{shown}{' …' if len(self.words) > 4 else ''}"


class Close:
    def __init__(self, after=False):
        self.after = after


class Swallow:
    pass


class Drop:
    pass


class Delay:
    def __init__(self, seconds=None):
        self.seconds = seconds


class Dribble:
    def __init__(self, seconds=0.5):
        self.seconds = seconds


class Hold:
    seconds = None


class Late(Hold):
    def __init__(self, seconds):
        self.seconds = seconds


class Answer:
    def __init__(self, raw):
        self.raw = raw if raw.endswith(b"\r\n") else raw + b"\r\n"


class Freeze:
    pass


def named(name):
    return lambda command: command.name == name.upper()


def commit_of(partition=None):
    """The EXEC of a commit: it sets the position of a shard's meta (of this shard, or of any)."""
    key = re.compile(rb"\}:meta$" if partition is None else rb"/%d\}:meta$" % partition)

    def fits(command):
        return command.name == "EXEC" and any(
            len(w) > 2 and w[0].upper() == b"HSET" and key.search(w[1]) and b"position" in w[2::2]
            for w in command.queued)
    return fits


class Rule:
    """What p.on() returns: whether and how often it acted, and how to let go what it holds."""

    def __init__(self, proxy, fits, action, skip, times):
        self.fits, self.action, self.skip, self.times = fits, action, skip, times
        self.hits = []  # the commands it acted on
        self._proxy = proxy
        self._changed = threading.Condition()
        self._held = collections.deque()  # futures of the proxy's loop, each let go by release()
        self._answers = []

    def takes(self, command):
        if self.times == 0 or not self.fits(command):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def note(self, command):
        with self._changed:
            self.hits.append(command)
            self._changed.notify_all()

    def wait(self, timeout=ground.PATIENCE, count=1):
        """Until it has acted `count` times; TimedOut."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.hits) >= count, timeout):
                raise ground.TimedOut(f"the proxy met {len(self.hits)} of {count} commands in {timeout:g} s")
        return self

    def answered(self, timeout=ground.PATIENCE, count=1):
        """The server's answers (raw bytes) to what Hold or Late sent on."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._answers) >= count, timeout):
                raise ground.TimedOut(f"the server gave {len(self._answers)} of {count} answers in {timeout:g} s")
            return list(self._answers)

    def release(self, timeout=ground.PATIENCE):
        """Lets go what Hold or Delay() keep, and returns the server's answer in the case of Hold (raw bytes)."""
        self._proxy.call(self._release)
        return self.answered(timeout)[-1] if isinstance(self.action, Hold) else None

    def end(self):
        """Acts no more."""
        self.times = 0

    def _release(self):
        while self._held:
            held = self._held.popleft()
            if not held.done():
                held.set_result(None)

    def _answer(self, raw):
        with self._changed:
            self._answers.append(raw)
            self._changed.notify_all()


async def read_request(reader):
    """One command: its words and its bytes as they came. IncompleteReadError at the end."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise asyncio.IncompleteReadError(line, None)
    if not line.startswith(b"*"):
        return line.split(), line
    raw, words = [line], []
    for _ in range(int(line[1:])):
        head = await reader.readline()
        if not head.startswith(b"$"):
            raise asyncio.IncompleteReadError(head, None)
        body = await reader.readexactly(int(head[1:]) + 2)
        raw += (head, body)
        words.append(body[:-2])
    return words, b"".join(raw)


async def read_reply(reader, into):
    """One reply, appended to `into` piece by piece."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise asyncio.IncompleteReadError(line, None)
    into.append(line)
    kind, size = line[:1], line[1:-2]
    if kind in (b"$", b"=") and int(size) >= 0:
        into.append(await reader.readexactly(int(size) + 2))
    elif kind in (b"*", b"~", b">") and int(size) > 0:
        for _ in range(int(size)):
            await read_reply(reader, into)
    elif kind == b"%":
        for _ in range(2 * int(size)):
            await read_reply(reader, into)


class Connection:
    """A client's connection and the server's that belongs to it."""

    def __init__(self, proxy, number, reader, writer):
        self.proxy, self.number = proxy, number
        self.reader, self.writer = reader, writer
        self.up_reader = self.up_writer = None
        self.queued = None           # commands since MULTI
        self.expected = asyncio.Queue()  # for each answer to come: None (pass it on) or (rule, command)
        self.frozen = asyncio.Event()
        self.frozen.set()            # set: not frozen
        self.outstanding = 0         # answers to come
        self.mute = False            # answers go nowhere
        self.kept = False            # the server's connection outlives the client's

    async def run(self):
        try:
            self.up_reader, self.up_writer = await asyncio.open_connection(
                self.proxy.host, self.proxy.upstream, limit=LIMIT)
        except OSError:
            self.close()
            return
        answers = asyncio.ensure_future(self.pump(self.up_reader, self.writer) if self.proxy.raw else self.pass_answers())
        try:
            await (self.pump(self.reader, self.up_writer) if self.proxy.raw else self.pass_requests())
        except (asyncio.IncompleteReadError, OSError, ValueError):
            pass
        finally:
            if not self.kept:
                answers.cancel()
                self.close()

    async def pump(self, reader, writer):
        while piece := await reader.read(65536):
            await self.open_gate()
            writer.write(piece)
            await writer.drain()

    async def open_gate(self):
        await self.proxy.open.wait()
        await self.frozen.wait()

    async def pass_requests(self):
        while True:
            words, raw = await read_request(self.reader)
            await self.open_gate()
            command = self.context(words, raw)
            rule = self.proxy.rule_for(command)
            if rule is None:
                await self.send(raw, None)
                continue
            rule.note(command)
            if await self.act(rule, command):
                return

    def context(self, words, raw):
        name = words[0].upper() if words else b""
        queued = ()
        if name == b"MULTI":
            self.queued = []
        elif name in (b"EXEC", b"DISCARD"):
            queued, self.queued = tuple(self.queued or ()), None
        elif self.queued is not None:
            self.queued.append(words)
        return Command(words, queued, self.number, raw)

    async def send(self, raw, note):
        self.expected.put_nowait(note)
        self.outstanding += 1
        self.up_writer.write(raw)
        await self.up_writer.drain()

    async def act(self, rule, command):
        """Does what the rule wants; True when this connection is over."""
        action = rule.action
        while self.outstanding and isinstance(action, (Close, Hold, Answer)):
            await asyncio.sleep(0.001)  # what came before is answered first
        if isinstance(action, Close) and not action.after:
            self.close()
            return True
        if isinstance(action, Hold):
            self.kept = True
            self.writer.close()
            self.proxy.background(self.deliver_late(rule, command))
            return True
        if isinstance(action, Freeze):
            self.frozen.clear()
            await self.open_gate()
        elif isinstance(action, Answer):
            self.writer.write(action.raw)
            await self.writer.drain()
        elif not isinstance(action, Drop):
            await self.send(command.raw, (rule, command))
        return False

    async def deliver_late(self, rule, command):
        if rule.action.seconds is None:
            held = asyncio.get_running_loop().create_future()
            rule._held.append(held)
            await held
        else:
            await asyncio.sleep(rule.action.seconds)
        try:
            await self.send(command.raw, (rule, command))
        except OSError as error:
            rule._answer(b"-" + str(error).encode())

    async def pass_answers(self):
        try:
            while True:
                pieces = []
                await read_reply(self.up_reader, pieces)
                note = await self.expected.get()
                action = note[0].action if note else None
                if isinstance(action, Hold):
                    note[0]._answer(b"".join(pieces))
                    self.close()
                    return
                if isinstance(action, Close):
                    break
                if isinstance(action, Swallow):
                    self.mute = True
                if isinstance(action, Delay):
                    await self.wait_out(note[0])
                await self.open_gate()
                if isinstance(action, Dribble):
                    pieces = [await self.dribble(note[0], b"".join(pieces))]
                if not self.mute:
                    self.writer.writelines(pieces)
                    await self.writer.drain()
                self.outstanding -= 1
        except (asyncio.IncompleteReadError, OSError, ValueError):
            pass
        self.close()

    async def wait_out(self, rule):
        if rule.action.seconds is not None:
            await asyncio.sleep(rule.action.seconds)
            return
        held = asyncio.get_running_loop().create_future()
        rule._held.append(held)
        await held

    async def dribble(self, rule, raw):
        """Gives a byte now and then until it is told to let go or one is left; returns what is left."""
        released = asyncio.get_running_loop().create_future()
        rule._held.append(released)
        while len(raw) > 1:
            done, _ = await asyncio.wait([released], timeout=rule.action.seconds)
            if done:
                break
            self.writer.write(raw[:1])
            await self.writer.drain()
            raw = raw[1:]
        await released
        return raw

    def close(self):
        self.proxy.connections.discard(self)
        for writer in (self.writer, self.up_writer):
            if writer is not None:
                writer.close()


class Proxy:
    """Listens on a loopback port and passes on to `upstream`, a port on `host`. raw: bytes of any kind, such as those
    between a primary and its replica; then there are no rules."""

    def __init__(self, upstream, host="127.0.0.1", raw=False):
        self.upstream, self.host, self.raw = upstream, host, raw
        self.port = 0
        self.rules = []
        self.connections = set()
        self.accepted = 0   # connections so far
        self.log = []       # (seconds, connection, command) of what a rule acted on
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="redis-proxy", daemon=True)
        self._server = None
        self._tasks = set()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    # --- for tests ---

    def start(self):
        self._thread.start()
        self.call(self._listen)
        return self

    def stop(self):
        if self._thread.is_alive():
            self.call(self._stop)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    __enter__ = start

    close = stop

    def __exit__(self, *_):
        self.stop()

    def on(self, what, action, skip=0, times=1):
        """A rule: `what` is a command's name or a function of a Command."""
        rule = Rule(self, named(what) if isinstance(what, str) else what, action, skip, times)
        self.call(self.rules.append, rule)
        return rule

    def clear(self):
        """No rules any more; what they hold is let go."""
        for rule in self.call(self._clear):
            self.call(rule._release)

    def freeze(self):
        self.call(self.open.clear)

    def thaw(self):
        self.call(self._thaw)

    def refuse(self):
        self.call(self._refuse)

    def accept(self):
        self.call(self._listen)

    def cut(self):
        self.call(self._cut)

    def point(self, port):
        self.upstream = port

    # --- the thread's own ---

    def call(self, function, *arguments):
        """Runs a function, or a coroutine's, in the proxy's thread and returns what it returns."""
        async def run():
            result = function(*arguments)
            return await result if asyncio.iscoroutine(result) else result
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def background(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def rule_for(self, command):
        for rule in self.rules:
            if rule.takes(command):
                self.log.append((time.monotonic(), command.connection, repr(command)))
                return rule
        return None

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self.open = asyncio.Event()
        self.open.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _listen(self):
        if self._server is None:
            self._server = await ground.listen(self._take, self.port, LIMIT)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _take(self, reader, writer):
        self.accepted += 1
        connection = Connection(self, self.accepted, reader, writer)
        self.connections.add(connection)
        self.background(connection.run())

    def _refuse(self):
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    def _cut(self):
        for connection in list(self.connections):
            connection.close()

    def _thaw(self):
        self.open.set()
        for connection in self.connections:
            connection.frozen.set()

    def _clear(self):
        rules, self.rules = self.rules, []
        return rules

    async def _stop(self):
        self._refuse()
        for task in list(self._tasks):
            task.cancel()
        with_errors = await asyncio.gather(*self._tasks, return_exceptions=True)
        return [e for e in with_errors if isinstance(e, Exception) and not isinstance(e, concurrent.futures.CancelledError)]
