"""A payment that waits for a person: one process asks, another one approves and goes on.

    python examples/approvals.py --url http://localhost:8080 ask "Pay 20 to Ada."
    python examples/approvals.py --url http://localhost:8080 approve      # or: deny

The conversation is in talk.json meanwhile, so hours may pass and either process may end.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from llama_cpp import LlamaAgent, tool
from llama_cpp.agent import Deny
from llama_cpp.errors import LlamaError


@tool(approval=True)
def pay(amount: float, receiver: str) -> str:
    """Pay an amount of money to somebody.

    Args:
        amount: euros
        receiver: a name
    """
    return f"paid {amount:.2f} euros to {receiver}"


def main() -> None:
    parser = argparse.ArgumentParser(description="A payment that waits for a person.")
    parser.add_argument("step", choices=["ask", "approve", "deny"])
    parser.add_argument("message", nargs="?", default="Pay 20 to Ada.")
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--file", type=Path, default=Path("talk.json"))
    options = parser.parse_args()
    key = os.environ.get("LLAMA_API_KEY")
    with LlamaAgent(options.url, api_key=key, tools=[pay], temperature=0, max_tokens=64) as agent:
        if options.step == "ask":
            result = agent.run(options.message, tool_choice="pay")
        else:
            agent.load(options.file)
            if not agent.pending:
                parser.error(f"no payment waits in {options.file}")
            denied = None if options.step == "approve" else Deny("the owner said no")
            result = agent.resume(
                {call.id: denied or True for call in agent.pending},
                tool_choice="none",  # words, and no second payment
            )
        agent.save(options.file)
    for call in result.calls:
        print(f"waits: {call.name}({call.arguments})" if call.pending else call.text)
    print(result.text or f"[{result.reason}]")


if __name__ == "__main__":
    try:
        main()
    except (LlamaError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
