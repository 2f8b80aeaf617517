"""A proxy between Kafka clients and brokers that knows the protocol's frames, and can be told to spoil them.

    with kafka.Proxy(broker.bootstrap) as proxy:                # the broker needs to know nothing of it
        config = ... proxy.bootstrap ...                        # whoever starts here never sees the brokers' own ports
        ghost = proxy.fault("EndTxn", "hold")                   # the next EndTxn is kept, its connection is closed
        ghost.wait()
        ghost.release()                                         # and now it arrives

Addresses in answers to Metadata and FindCoordinator are rewritten: each broker has a port of its own here, so one proxy
stands before a whole cluster, and several proxies may stand before the same one, one a client.

A fault acts on requests of one api (`api`: a name, a number, several, or None for all), of one client (`client`: a part of
its client.id), after `skip` of them and at most `count` times (None: always). `where` may look at the request. Actions:

    delay          the request waits `seconds`, and all that follows on its connection with it
    swallow        the request never arrives; the connection stays
    drop_answer    the request arrives, its answer is kept from the client; the connection stays
    delay_answer   the answer waits `seconds`, and all that follows on its connection with it
    double         the request arrives twice; the client sees the first answer
    close_before   the connection is closed instead of the request arriving
    close_after    the request arrives and is answered; then the connection is closed instead of the answer arriving
    hold           the connection is closed towards the client; the request arrives on release(), after all: a ghost
    gate           the request, and all that follows on its connection, wait for release()
    half_open      from this request on nothing passes on its connection in either direction, and nothing closes it
    watch          nothing: it is only counted

All of it runs in a thread of its own; what is called from outside returns when it is in force. From a shell:

    python3 tests/support/proxy/kafka.py HOST:PORT [--listen PORT] [--fault 'EndTxn close_after count=1']...

prints where it listens and takes the same words as lines: `fault …`, `release`, `cut`, `refuse on|off`, `freeze on|off`,
`seen`.
"""

import argparse
import asyncio
import collections
import contextlib
import pathlib
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import ground  # noqa: E402

APIS = {"Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9,
        "FindCoordinator": 10, "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14, "DescribeGroups": 15,
        "SaslHandshake": 17, "ApiVersions": 18, "CreateTopics": 19, "InitProducerId": 22, "OffsetForLeaderEpoch": 23,
        "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26, "TxnOffsetCommit": 28, "DescribeConfigs": 32,
        "SaslAuthenticate": 36}
NAMES = {number: name for name, number in APIS.items()}
ACTIONS = ("delay", "swallow", "drop_answer", "delay_answer", "double", "close_before", "close_after", "hold", "gate",
           "half_open", "watch")
FRAME_MAX = 128 << 20

Seen = collections.namedtuple("Seen", "at connection api version client size action")


class Request:
    """One frame of a client. `frame` is everything after its length."""

    def __init__(self, frame):
        self.frame = frame
        self.api, self.version, self.correlation, length = struct.unpack_from(">hhih", frame)
        self.client = frame[10:10 + length].decode("utf-8", "replace") if length > 0 else ""
        self.name = NAMES.get(self.api, str(self.api))
        self.fault = None
        self.is_twin = False


class Fault:
    """One rule. `hits` counts the requests it took; `answers` keeps what brokers answered to held ones, as bytes."""

    def __init__(self, proxy, apis, action, client, count, skip, seconds, where):
        self.proxy, self.apis, self.action, self.client = proxy, apis, action, client
        self.count, self.skip, self.seconds, self.where = count, skip, seconds, where
        self.hits = 0
        self.answers = []
        self._changed = threading.Condition()
        self._open = asyncio.Event()

    def _takes(self, request):
        if self.apis is not None and request.api not in self.apis or self.client not in request.client:
            return False
        if self.where is not None and not self.where(request):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        with self._changed:
            self.hits += 1
            self._changed.notify_all()
        return True

    def _answered(self, answer):
        with self._changed:
            self.answers.append(answer)
            self._changed.notify_all()

    def _wait(self, what, condition, timeout):
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise ground.TimedOut(f"no {what} of {self.action} within {timeout:g} s")

    def wait(self, hits=1, timeout=ground.PATIENCE):
        """Until it took that many requests."""
        self._wait(f"{hits} hits", lambda: self.hits >= hits, timeout)

    def release(self, answers=0, timeout=ground.PATIENCE):
        """Lets go of what is held or waits at the gate; returns when `answers` of the held ones were answered."""
        self.proxy._do(self._open.set)
        self._wait(f"{answers} answers", lambda: len(self.answers) >= answers, timeout)

    def stop(self):
        """It takes no further request; what it holds stays held."""
        self.proxy._do(lambda: self.proxy._faults.remove(self) if self in self.proxy._faults else None)


# --- the two answers that name brokers ------------------------------------------------------------------------------

def _varint(frame, at):
    number = shift = 0
    while True:
        byte = frame[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def _text(frame, at, flexible):
    """A string of the protocol, None when it is null, and where it ends."""
    if flexible:
        size, at = _varint(frame, at)
        size -= 1
    else:
        (size,) = struct.unpack_from(">h", frame, at)
        at += 2
    return (None, at) if size < 0 else (frame[at:at + size], at + size)


def _put_text(text, flexible):
    if flexible:
        size, out = len(text) + 1, bytearray()
        while size >= 0x80:
            out.append(size & 0x7F | 0x80)
            size >>= 7
        out.append(size)
        return bytes(out) + text
    return struct.pack(">h", len(text)) + text


def _addresses(request, answer):
    """Places of (node, host, port) in an answer: [(start, end, flexible, node, host, port)], start at the host."""
    found = []
    if request.name == "Metadata":
        flexible = request.version >= 9
        at = 5 if flexible else 4  # an answer's header: correlation id, and tags (none)
        at += 4 if request.version >= 3 else 0
        if flexible:
            count, at = _varint(answer, at)
            count -= 1
        else:
            (count,) = struct.unpack_from(">i", answer, at)
            at += 4
        for _ in range(count):
            (node,) = struct.unpack_from(">i", answer, at)
            host, end = _text(answer, at + 4, flexible)
            (port,) = struct.unpack_from(">i", answer, end)
            found.append((at + 4, end + 4, flexible, node, host.decode(), port))
            at = end + 4
            if request.version >= 1:
                _, at = _text(answer, at, flexible)
            if flexible:
                at += 1
    elif request.name == "FindCoordinator":
        flexible = request.version >= 3
        at = 5 if flexible else 4
        at += 4 if request.version >= 1 else 0
        count = 1
        if request.version >= 4:
            count, at = _varint(answer, at)
            count -= 1
        else:
            at += 2
            if request.version >= 1:
                _, at = _text(answer, at, flexible)
        for _ in range(count):
            if request.version >= 4:
                _, at = _text(answer, at, flexible)
            (node,) = struct.unpack_from(">i", answer, at)
            host, end = _text(answer, at + 4, flexible)
            (port,) = struct.unpack_from(">i", answer, end)
            found.append((at + 4, end + 4, flexible, node, host.decode(), port))
            at = end + 4
            if request.version >= 4:
                at += 2
                _, at = _text(answer, at, flexible)
                at += 1
    return [f for f in found if f[3] >= 0 and f[5] > 0]


# --- one connection -------------------------------------------------------------------------------------------------

async def _read_frame(reader):
    head = await reader.readexactly(4)
    (size,) = struct.unpack(">i", head)
    if not 0 <= size <= FRAME_MAX:
        raise ConnectionError(f"a frame of {size} bytes")
    return await reader.readexactly(size)


def _write_frame(writer, frame):
    writer.write(struct.pack(">i", len(frame)) + frame)


class _Connection:
    def __init__(self, proxy, number, node, streams):
        self.proxy, self.number, self.node = proxy, number, node
        self.reader, self.writer = streams
        self.broker_reader = self.broker_writer = None
        self.under_way = {}  # correlation id -> requests that wait for answers, in their order
        self.half_open = False
        self.held = 0
        self.closed = False

    async def run(self):
        try:
            self.broker_reader, self.broker_writer = await asyncio.open_connection(*self.proxy._upstream[self.node])
        except OSError:
            self.close_client()
            return
        answers = asyncio.ensure_future(self.answers())
        try:
            while True:
                await self.take(Request(await _read_frame(self.reader)))
        except (asyncio.IncompleteReadError, ConnectionError, OSError, struct.error):
            pass
        self.close_client()
        if self.held == 0 and not self.half_open:
            self.close_broker()
        with contextlib.suppress(asyncio.CancelledError):
            await answers

    def forward(self, request):
        self.under_way.setdefault(request.correlation, collections.deque()).append(request)
        _write_frame(self.broker_writer, request.frame)

    async def take(self, request):
        proxy = self.proxy
        while proxy._frozen:
            await proxy._thawed.wait()
        if self.half_open:
            return
        fault = next((f for f in proxy._faults if f._takes(request)), None)
        request.fault = fault
        action = fault.action if fault else None
        proxy.log.append(Seen(time.monotonic(), self.number, request.name, request.version, request.client,
                              len(request.frame), action))
        if action in ("delay", "gate"):
            await (asyncio.sleep(fault.seconds) if action == "delay" else fault._open.wait())
        if action == "swallow":
            return
        if action == "close_before":
            raise ConnectionError("closed on purpose")
        if action == "half_open":
            self.half_open = True
            return
        if action == "hold":
            self.held += 1
            proxy._spawn(self.deliver_late(request))
            raise ConnectionError("closed on purpose")
        self.forward(request)
        if action == "double":
            twin = Request(request.frame)
            twin.fault = fault
            twin.is_twin = True
            self.forward(twin)
        await self.broker_writer.drain()

    async def deliver_late(self, request):
        await request.fault._open.wait()
        with contextlib.suppress(OSError):
            self.forward(request)
            await self.broker_writer.drain()

    async def answers(self):
        try:
            while True:
                await self.give(await _read_frame(self.broker_reader))
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        if not self.half_open:
            self.close_client()

    async def give(self, answer):
        (correlation,) = struct.unpack_from(">i", answer)
        waiting = self.under_way.get(correlation)
        request = waiting.popleft() if waiting else None
        if waiting is not None and not waiting:
            del self.under_way[correlation]
        fault = request.fault if request else None
        action = fault.action if fault else None
        while self.proxy._frozen:
            await self.proxy._thawed.wait()
        if fault and action in ("hold", "double", "drop_answer", "close_after"):
            fault._answered(answer)
        if action == "hold":
            self.held -= 1
            if self.held == 0:
                self.close_broker()
            return
        if action == "drop_answer" or self.half_open or request and request.is_twin:
            return
        if action == "close_after":
            self.close_client()
            return
        if action == "delay_answer":
            await asyncio.sleep(fault.seconds)
        if request and request.name in ("Metadata", "FindCoordinator"):
            answer = await self.proxy._rewrite(request, answer)
        if not self.closed:
            _write_frame(self.writer, answer)
            await self.writer.drain()

    def close_client(self):
        self.closed = True
        self.writer.close()

    def close_broker(self):
        if self.broker_writer is not None:
            self.broker_writer.close()


# --- the proxy ------------------------------------------------------------------------------------------------------

class Proxy:
    """Stands before the broker at `upstream` ("host:port"), and before each broker that one tells of."""

    def __init__(self, upstream, listen=0):
        host, port = upstream.rsplit(":", 1)
        self.log = []
        self._upstream = {None: (host, int(port))}
        self._nodes = {}  # (host, port) -> the key of its listener
        self._servers = {}
        self._ports = {}
        self._faults = []
        self._connections = set()
        self._tasks = set()
        self._numbers = 0
        self._frozen = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-proxy", daemon=True)
        self._thread.start()
        self._thawed = self._do(asyncio.Event)
        self._opening = self._do(asyncio.Lock)
        self._run(self._listen(None, listen))

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self._ports[None]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Control -----------------------------------------------------------------------------------------------------

    def fault(self, api, action, client="", count=1, skip=0, seconds=1.0, where=None):
        """Puts a rule in force; of several that take a request the first one acts."""
        if action not in ACTIONS:
            raise ValueError(f"no action '{action}'")
        names = api if isinstance(api, (list, tuple, set)) or api is None else [api]
        apis = None if names is None else {APIS[n] if isinstance(n, str) else n for n in names}
        fault = self._do(lambda: Fault(self, apis, action, client, count, skip, seconds, where))
        self._do(lambda: self._faults.append(fault))
        return fault

    def clear(self):
        """No rule any more."""
        self._do(self._faults.clear)

    def cut(self, client=None):
        """Closes connections: all, or those that a client of this name (a part of it) was seen on."""
        numbers = {s.connection for s in self.log if client is not None and client in s.client}
        self._do(lambda: [c.close_client() for c in self._connections if client is None or c.number in numbers])

    def refuse(self, on=True):
        """Closes everything and takes no new connection, until refuse(False): an address where nobody listens."""
        self._run(self._refuse(on))

    def freeze(self, on=True):
        """Nothing passes and nothing closes, new connections included, until freeze(False)."""
        def change():
            self._frozen = on
            if on:
                self._thawed.clear()
            else:
                self._thawed.set()
        self._do(change)

    def seen(self, api=None, client=""):
        """What passed or was to pass: [(at, connection, api, version, client, size, action)]."""
        return [s for s in list(self.log) if (api is None or s.api == api) and client in s.client]

    def close(self):
        if self._loop.is_running():
            self._run(self._shut())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    # Inside ------------------------------------------------------------------------------------------------------

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _do(self, function):
        async def call():
            return function()
        return self._run(call())

    def _spawn(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, node, port=0):
        async def serve(reader, writer):
            self._numbers += 1
            connection = _Connection(self, self._numbers, node, (reader, writer))
            self._connections.add(connection)
            try:
                await connection.run()
            except asyncio.CancelledError:
                pass
            finally:
                self._connections.discard(connection)
        self._servers[node] = await ground.listen(serve, port, 1 << 20)
        self._ports[node] = self._servers[node].sockets[0].getsockname()[1]

    async def _refuse(self, on):
        if on:
            for server in self._servers.values():
                server.close()
            self._servers.clear()
            for connection in list(self._connections):
                connection.close_client()
                connection.close_broker()
        else:
            for node, port in self._ports.items():
                if node not in self._servers:
                    await self._listen(node, port)

    async def _rewrite(self, request, answer):
        pieces, done = [], 0
        for start, end, flexible, node, host, port in _addresses(request, answer):
            async with self._opening:
                if node not in self._ports:
                    await self._listen(node)
            self._upstream[node] = (host, port)
            pieces += [answer[done:start], _put_text(b"127.0.0.1", flexible), struct.pack(">i", self._ports[node])]
            done = end
        return b"".join(pieces) + answer[done:]

    async def _shut(self):
        for server in self._servers.values():
            server.close()
        for connection in list(self._connections):
            connection.close_client()
            connection.close_broker()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)


# --- the command line -----------------------------------------------------------------------------------------------

def parse_fault(proxy, words):
    options = dict(word.split("=", 1) for word in words[2:])
    for name, kind in (("skip", int), ("seconds", float)):
        if name in options:
            options[name] = kind(options[name])
    if "count" in options:
        options["count"] = None if options["count"] == "all" else int(options["count"])
    return proxy.fault(None if words[0] == "any" else words[0].split(","), words[1], **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream", metavar="HOST:PORT")
    parser.add_argument("--listen", type=int, default=0, metavar="PORT")
    parser.add_argument("--fault", action="append", default=[], metavar="WORDS")
    args = parser.parse_args()
    with Proxy(args.upstream, args.listen) as proxy:
        faults = [parse_fault(proxy, words.split()) for words in args.fault]
        print(proxy.bootstrap, flush=True)
        for line in sys.stdin:
            words = line.split()
            if not words:
                continue
            try:
                if words[0] == "fault":
                    faults.append(parse_fault(proxy, words[1:]))
                elif words[0] == "release":
                    for fault in faults:
                        fault.release()
                elif words[0] == "cut":
                    proxy.cut(*words[1:])
                elif words[0] in ("refuse", "freeze"):
                    getattr(proxy, words[0])(words[1:] != ["off"])
                elif words[0] == "seen":
                    for (api, action), n in sorted(collections.Counter(
                            (s.api, s.action or "passed") for s in proxy.seen()).items()):
                        print(f"{n:8} {api} {action}")
                else:
                    print(f"no command '{words[0]}'")
            except (ValueError, KeyError, IndexError, TypeError) as error:
                print(f"not understood: {error!r}")
            print("ok", flush=True)


if __name__ == "__main__":
    main()
