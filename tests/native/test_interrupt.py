"""What stands in for Ctrl-C's handler and for the wakeup descriptor is gone after the call."""

from __future__ import annotations

import pytest

from tests.support.python import run_python


@pytest.mark.parametrize(
    "block",
    [
        "_interrupt.stops_on_ctrl_c(stop, lambda: False)",
        "_log.interruptible()",
        "_resource._ctrl_c_later()",
    ],
)
def test_an_exception_of_another_signals_handler_leaves_nothing(block: str) -> None:
    """It may come anywhere, so also while the block is entered or left."""
    code = f"""if True:
        import ctypes, random, signal, socket
        from llama_cpp.native import interrupt as _interrupt
        from llama_cpp.native import log as _log
        from llama_cpp.native import resource as _resource
        class Alarm(Exception):
            pass
        def handler(*_):
            raise Alarm
        signal.signal(signal.SIGALRM, handler)
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        stop = ctypes.create_string_buffer(1)
        _interrupt._watched()
        left = []
        for n in range(500):
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-4))
                while True:
                    with {block}:
                        pass
            except Alarm:
                pass
            descriptor = signal.set_wakeup_fd(-1)
            if descriptor != writer.fileno():
                left.append(descriptor)
            if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
                left.append(signal.getsignal(signal.SIGINT))
            if _interrupt._stop is not None:
                left.append(_interrupt._stop)
        print(len(left), left[:1])
    """
    assert run_python(code) == (0, "0 []\n", "")


def test_a_signal_at_the_end_of_a_call_comes_to_the_programs_descriptor() -> None:
    code = """if True:
        import ctypes, os, signal, socket
        from llama_cpp.native import interrupt as _interrupt
        signal.signal(signal.SIGTERM, lambda *_: None)
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        reader.settimeout(10)
        signal.set_wakeup_fd(writer.fileno())
        stop = ctypes.create_string_buffer(1)
        for _ in range(20):
            with _interrupt.stops_on_ctrl_c(stop, lambda: False):
                os.kill(os.getpid(), signal.SIGTERM)
            assert reader.recv(64) == bytes([signal.SIGTERM])
        print(stop.raw)
    """
    assert run_python(code) == (0, "b'\\x00'\n", "")


def test_a_call_inside_a_call_leaves_the_outer_one_as_it_was() -> None:
    """As a signal's handler may make one."""
    code = """if True:
        import ctypes, os, signal, socket, time
        from llama_cpp.native import interrupt as _interrupt
        from llama_cpp.native import log as _log
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        outer, inner = ctypes.create_string_buffer(1), ctypes.create_string_buffer(1)
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            told = reader.recv(64)  # by the watcher, which has set the byte before
            return told[0] == signal.SIGINT, len(told), outer.raw, inner.raw
        try:
            with _log.interruptible() as came, _interrupt.stops_on_ctrl_c(outer, came):
                with _interrupt.stops_on_ctrl_c(inner, lambda: False):
                    print(*interrupt())
                print(*interrupt())
        except KeyboardInterrupt:
            print("interrupted", signal.set_wakeup_fd(-1) == writer.fileno())
        busy = time.process_time()
        time.sleep(0.3)
        print(time.process_time() - busy < 0.2)
    """
    said = r"True 1 b'\x00' b'\x01'|True 1 b'\x01' b'\x01'|interrupted True|True|"
    assert run_python(code, timeout=20) == (0, said.replace("|", "\n"), "")
