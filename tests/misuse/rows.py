"""Wrong use of what stands on the core classes: asyncio, drafts, callbacks, agents."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What is done, and the exception and a part of the message that have to come of it."""

    code: str
    error: str
    message: str
    alone: bool = False
    """In a process of its own: how that ends is a part of the case."""


UPPER = [
    # asyncio
    Row("alm().llama", "LlamaContextError", "not loaded yet"),
    Row("AsyncLlama(llm(), n_ctx=5)", "TypeError", "takes no more arguments"),
    Row("wait(AsyncLlama(5).complete('a'))", "TypeError", "os.PathLike"),
    Row("wait(alm(n_ctxx=5).complete('a'))", "TypeError", "did you mean 'n_ctx'"),
    Row("wait(alm().complete('a', temprature=1))", "TypeError", "did you mean 'temperature'"),
    Row("wait(alm().complete(5))", "TypeError", "a prompt must be text or tokens"),
    Row("wait(alm().chat('hello'))", "TypeError", "message 0 must have a role"),
    Row("wait(alm().embed(5))", "TypeError", "texts must be a text or several, not 5"),
    Row("wait(alm().complete_many('abc'))", "TypeError", "several prompts"),
    Row("wait(alm(progress=lambda done: 1 / 0).complete('a'))", "ZeroDivisionError", ""),
    Row("wait(alm(progress=lambda done: False).complete('a'))", "LlamaCancelled", "by progress"),
    Row("alm().generate('a').state", "LlamaContextError", "it has not begun"),
    Row("for _ in alm().generate('a'): pass", "TypeError", "not iterable"),
    Row("x = alm(); wait(x.aclose()); wait(x.complete('a'))", "LlamaClosedError", "AsyncLlama"),
    Row("x = AsyncLlama(llm()); x.llama.close(); wait(x.complete('a'))", "LlamaClosedError", "mod"),
    Row(
        "async def go():\n    x = AsyncLlama(llm()); s = x.generate('the'); await anext(s)\n"
        "    await x.complete('a')\nwait(go())",
        "LlamaBusyError",
        "this task has a stream",
    ),
    Row(
        "async def go():\n    x = AsyncLlama(llm()); s = x.generate('the'); await anext(s)\n"
        "    x.llama.close(); await anext(s)\nwait(go())",
        "LlamaClosedError",
        "the context",
    ),
    Row(
        "async def go():\n    x = AsyncLlama(llm()); s = x.generate('the'); await anext(s)\n"
        "    x.llama.complete('a'); await anext(s)\nwait(go())",
        "LlamaContextError",
        "another generation was begun",
    ),
    Row(
        # The first takes seconds. It is stopped in a decode or between two, which say different.
        "async def go():\n    x = AsyncLlama(Llama(tiny(), n_ctx=4096, n_threads=1))\n"
        "    await asyncio.gather(*(x.complete('the') for _ in range(4)), x.aclose())\nwait(go())",
        "LlamaCancelled",
        "",
    ),
    # drafts
    Row("llm().complete('the', draft='model.gguf')", "TypeError", "must have a method draft"),
    Row("llm().complete('the', draft=DraftModel(M))", "LlamaModelError", "of different kinds"),
    Row("d = draft(); d.close(); llm().complete('the', draft=d)", "LlamaClosedError", "context"),
    Row("d = draft(); d.model.close(); llm().complete('the', draft=d)", "LlamaClosedError", "mod"),
    Row("d = draft(); d.close(); d.draft([1, 2], 3)", "LlamaClosedError", "the context"),
    Row("draft().draft([-1], 3)", "ValueError", "token -1"),
    Row("draft().draft(['a'], 3)", "TypeError", "cannot be interpreted as an integer"),
    Row("draft().begin(5)", "TypeError", "expected a LlamaModel"),
    Row("draft(n_draft=33)", "ValueError", "n_draft=33 must be 1 to 32"),
    Row("draft(n_draft='a')", "TypeError", "n_draft must be an integer"),
    Row("draft(p_min='a')", "TypeError", "p_min must be a number"),
    Row("PromptLookup('a')", "TypeError", "ngram must be an integer"),
    Row("llm().complete('a', draft=Draft(lambda t, n: [10**6]))", "ValueError", "token 1000000"),
    Row("llm().complete('a', draft=Draft(lambda t, n: ['a']))", "TypeError", "what is no token"),
    Row("llm().complete('a', draft=Draft(lambda t, n: None))", "TypeError", "<Draft> must draft"),
    Row("llm().complete('a', draft=Draft(lambda t, n: 1 / 0))", "ZeroDivisionError", ""),
    Row("llm().complete('a', draft=Draft(lambda t, n: [1] * 999), max_tokens=5)", "nothing", ""),
    Row(
        "x = llm(); x.complete('a', draft=Draft(lambda t, n: x.close() or []))",
        "LlamaClosedError",
        "the context",
    ),
    Row(
        "x = llm(); x.complete('a', draft=Draft(lambda t, n: x.complete('b')))",
        "LlamaBusyError",
        "in the middle of a step",
    ),
    # logging handlers and progress, called from within the library
    Row("logged(lambda line: 1 / 0)", "ZeroDivisionError", "division by zero"),
    Row("logged(lambda line: sys.exit(3))", "SystemExit", "3"),
    Row("c = small(); logged(lambda line: c.close()); c.decode([1])", "LlamaClosedError", "conte"),
    Row("c = small(); logged(lambda line: c.decode([1])); c.decode([1])", "nothing", ""),
    Row("logged(lambda line: small().decode([1]))", "nothing", "", True),
    Row(
        "m = tiny(); logged(lambda line: m.close(), lambda: small(m)); m.vocab",
        "LlamaClosedError",
        "the model",
    ),
    Row("load(progress=lambda done: sys.exit(3))", "SystemExit", "3"),
    Row("load(progress=lambda: None)", "TypeError", "positional argument"),
    Row(
        "c = small(); load(progress=lambda done: c.close()); c.decode([1])", "LlamaClosedError", ""
    ),
    Row("c = small(); load(progress=lambda done: c.decode([1]) or 1 / 0)", "ZeroDivisionError", ""),
    Row("load(progress=lambda done: tiny() and None)", "nothing", ""),
    Row(
        "quantize(T, FOLDER + '/a.gguf', 'Q8_0', progress=lambda done: 1 / 0)",
        "ZeroDivisionError",
        "",
    ),
    # agents, without a server
    Row("agent(5)", "TypeError", "base_url must be a string"),
    Row("agent('file:///etc/passwd')", "ValueError", "base_url must look like"),
    Row("agent('http://localhost:99999')", "ValueError", "base_url must look like"),
    Row("agent('http://local host')", "ValueError", "base_url must look like"),
    Row("agent('http://localhost\\r\\nX: y')", "ValueError", "base_url must look like"),
    Row("agent(api_key='a\\r\\nb')", "ValueError", "api_key must be printable ASCII"),
    Row("agent(tools=print)", "TypeError", "tools must be a list"),
    Row("agent(tools='abc')", "TypeError", "tools must be a list"),
    Row("agent(tools=[5])", "TypeError", "a tool is a function"),
    Row("agent(tools=[{'type': 'function'}])", "TypeError", "needs a function with a name"),
    Row("agent(tools=[lambda x: x])", "LlamaToolError", "cannot be a tool's name"),
    Row("def f(*a: int): pass\nagent(tools=[f])", "LlamaToolError", "*a has no place"),
    Row("def f(x: int): pass\nagent(tools=[f, f])", "ValueError", "two tools have the name"),
    Row("agent(mode='magic')", "ValueError", "mode must be"),
    Row("agent(max_steps='a')", "TypeError", "max_steps must be an integer"),
    Row("agent(max_tool_errors=-1)", "ValueError", "max_tool_errors must be at least 0"),
    Row("agent(tool_timeout=-1)", "ValueError", "tool_timeout must be more than 0"),
    Row("agent(before_call=5)", "TypeError", "before_call must be callable"),
    Row("agent(retries='a')", "TypeError", "retries must be an integer"),
    Row("agent(timeouts=5)", "TypeError", "timeouts must be Timeouts"),
    Row("agent(system=5)", "TypeError", "system must be a string"),
    Row("agent(temprature=5)", "TypeError", "did you mean 'temperature'"),
    Row("agent().run(None)", "TypeError", "messages are a list of dicts"),
    Row("agent().run([5])", "TypeError", "message 0 is a dict"),
    Row("agent().run({'role': 'nobody'})", "ValueError", "the role 'nobody'"),
    Row("agent().run('a', max_steps=0)", "ValueError", "max_steps must be at least 1"),
    Row("agent().run('a')", "LlamaServerConnectionError", "no answer from"),
    Row("a = agent(); a.messages = [None]; a.run('a')", "TypeError", "message 0 is a dict"),
    Row("agent().load(T)", "ValueError", "is not a saved conversation"),
    Row("agent().save('/dev/null')", "ValueError", "choose another name"),
    Row("AsyncLlamaAgent(tools=5)", "TypeError", "tools must be a list"),
    Row("wait(AsyncLlamaAgent().run(5))", "TypeError", "messages are a list"),
    Row("wait(AsyncLlamaAgent().chat([{'role': 'x'}]))", "ValueError", "the role 'x'"),
    Row("for _ in AsyncLlamaAgent().stream('a'): pass", "TypeError", "not iterable"),
]
