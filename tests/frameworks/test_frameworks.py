"""Every agent framework once, in a real kernel and with a model that follows a script: its agent runs a program.

The frameworks are real. Their models are those of their own test kits, or the smallest that their interfaces allow.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..kernel.real_kernel import Cell, RealKernel, open_kernel
from .environment import INSTALL_S, site_packages

pytestmark = pytest.mark.timeout(INSTALL_S)

NOTEBOOK = """
import asyncio, threading, warnings
warnings.simplefilter("ignore")
from pctx_jupyter import tool
from pctx_jupyter.agents import agent_tools

THREADS = []

@tool
def load_orders(status: str = "open") -> list[dict[str, float]]:
    '''Load the orders of one status.'''
    THREADS.append(threading.current_thread() is threading.main_thread())
    return [{"total": 40}, {"total": 2.5}]

@tool(effects=True)
def pay(amount: float) -> None:
    print("paid")

SUM = {"code": "const orders = await Notebook.loadOrders({}); orders.reduce((sum, one) => sum + one.total, 0)"}
PAY = {"code": "await Notebook.pay({ amount: 1 })"}
PICTURE = {"code": "({ type: 'image', mimeType: 'image/png', data: 'aGVsbG8=' })"}
"""

MAIN = "[True]"
"""The only call of the tool ran on the main thread."""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKernel]:
    with open_kernel(tmp_path_factory.mktemp("kernel"), PYTHONPATH=site_packages()) as kernel:
        yield kernel


def script(kernel: RealKernel, *cells: str) -> Cell:
    """Run cells in a fresh notebook; returns the last one."""
    for code in ("%reset -f\n%reload_ext pctx_jupyter", NOTEBOOK, *cells):
        cell = kernel.run(code)
        assert cell.error is None, cell.traceback
    return cell


PYDANTIC_AI = """
from pydantic_ai import Agent, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

def agent(*steps):
    def model(messages, info):
        done = sum(isinstance(message, ModelResponse) for message in messages)
        return ModelResponse([ToolCallPart("execute", steps[done]) if done < len(steps) else TextPart("done")])
    return Agent(FunctionModel(model), tools=agent_tools().pydantic_ai())

def returned(result):
    parts = [part for message in result.all_messages() for part in message.parts]
    return [part.content for part in parts if part.part_kind == "tool-return"]
"""


def test_pydantic_ai_runs_programs_in_a_cell_that_awaits_it(kernel: RealKernel) -> None:
    cell = script(kernel, PYDANTIC_AI, "print(returned(await agent(SUM, PAY).run('How much?')), THREADS)")
    answers, _, threads = cell.text().rpartition("] [")
    assert answers.startswith("['42.5', ") and "Notebook.pay not sent" in answers and threads == "True]\n"
    assert "paid" not in cell.text()
    assert "application/vnd.pctx.trace+json" in cell.shown[0]


def test_pydantic_ai_passes_pictures_to_the_model(kernel: RealKernel) -> None:
    cell = script(kernel, PYDANTIC_AI, "print((await agent(PICTURE).run('Draw')).all_messages())")
    assert "data=b'hello', media_type='image/png'" in cell.text()


LANGGRAPH = """
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall
from langgraph.prebuilt import create_react_agent

class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools, **options):
        return self

def agent(*steps):
    calls = [ToolCall(name="execute", args=step, id=str(number)) for number, step in enumerate(steps)]
    model = Scripted(messages=iter([AIMessage("", tool_calls=calls), AIMessage("done")]))
    return create_react_agent(model, agent_tools().langchain())

def returned(result):
    return [(message.status, message.content) for message in result["messages"] if message.type == "tool"]

ASK = {"messages": [("user", "How much?")]}
"""


@pytest.mark.parametrize(
    ("run", "threads"),
    [
        ("await agent(SUM, SUM).ainvoke(ASK)", "[True, True]"),
        ("agent(SUM, SUM).invoke(ASK)", "[False, False]"),
        ("await asyncio.to_thread(agent(SUM, SUM).invoke, ASK)", "[False, False]"),
    ],
)
def test_langgraph_runs_programs_awaited_blocking_and_on_a_thread(run: str, threads: str, kernel: RealKernel) -> None:
    cell = script(kernel, LANGGRAPH, f"print(returned({run}), THREADS)")
    assert cell.text() == f"[('success', '42.5'), ('success', '42.5')] {threads}\n"


def test_langchain_marks_what_went_wrong_and_passes_pictures(kernel: RealKernel) -> None:
    cell = script(kernel, LANGGRAPH, "print(returned(await agent(PAY, PICTURE).ainvoke(ASK)))")
    assert cell.text().startswith("[('error', \"Program failed after 1 call (Notebook.pay not sent)")
    assert "'base64': 'aGVsbG8='" in cell.text()


OPENAI_AGENTS = """
from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
import json
set_tracing_disabled(True)

class Scripted(Model):
    def __init__(self, *steps):
        self.steps = list(steps)
    async def get_response(self, *positional, **named):
        if self.steps:
            arguments = json.dumps(self.steps.pop(0))
            call = {"type": "function_call", "call_id": arguments[:30], "name": "execute", "arguments": arguments}
            output = ResponseFunctionToolCall(**call)
        else:
            text = ResponseOutputText(type="output_text", text="done", annotations=[])
            output = ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[text])
        return ModelResponse(output=[output], usage=Usage(), response_id=None)
    def stream_response(self, *positional, **named):
        raise NotImplementedError

def returned(result):
    return [item.output for item in result.new_items if item.type == "tool_call_output_item"]
"""


def test_the_openai_agents_sdk_runs_programs(kernel: RealKernel) -> None:
    run = """
agent = Agent("orders", model=Scripted(SUM, PICTURE), tools=agent_tools().openai_agents())
print(returned(await Runner.run(agent, "How much?")), THREADS)
"""
    cell = script(kernel, OPENAI_AGENTS, run)
    assert cell.text().startswith("['42.5', [") and "data:image/png;base64,aGVsbG8=" in cell.text()
    assert cell.text().endswith(f"{MAIN}\n")


SMOLAGENTS = """
from smolagents import ChatMessage, CodeAgent, Model, ToolCallingAgent
from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction

class Scripted(Model):
    def __init__(self, *messages):
        super().__init__()
        self.messages = list(messages)
    def generate(self, messages, **options):
        return self.messages.pop(0)

def call(name, arguments):
    function = ChatMessageToolCallFunction(name=name, arguments=arguments)
    return ChatMessage(role="assistant", content="", tool_calls=[ChatMessageToolCall(function, "1", "function")])
"""


def test_smolagents_calls_the_functions_from_python_and_by_calls(kernel: RealKernel) -> None:
    run = """
code = ChatMessage(role="assistant", content=f"<code>final_answer(execute({SUM['code']!r}))</code>")
agent = CodeAgent(tools=agent_tools().smolagents(), model=Scripted(code), verbosity_level=0)
print(agent.run("How much?"), len(THREADS))
agent = ToolCallingAgent(
    tools=agent_tools().smolagents(),
    model=Scripted(call("execute", SUM), call("final_answer", {"answer": "done"})),
    verbosity_level=0,
)
print(agent.run("How much?"), agent.memory.steps[1].observations, len(THREADS))
"""
    assert script(kernel, SMOLAGENTS, run).text() == "42.5 1\ndone 42.5 2\n"


def test_the_claude_agent_sdk_serves_the_functions_within_the_process(kernel: RealKernel) -> None:
    run = """
from claude_agent_sdk import ClaudeAgentOptions
from mcp.client import Client

options = ClaudeAgentOptions(mcp_servers={"pctx": agent_tools().claude_agent()})
async with Client(options.mcp_servers["pctx"]["instance"]) as client:
    print([one.name for one in (await client.list_tools()).tools])
    for arguments in (SUM, PAY, PICTURE):
        answer = await client.call_tool("execute", arguments)
        first = answer.content[0].text.split()[0]
        print([part.type for part in answer.content], answer.is_error, first, THREADS)
"""
    assert script(kernel, run).text().splitlines() == [
        "['list_functions', 'search_functions', 'get_function_details', 'execute']",
        f"['text'] False 42.5 {MAIN}",
        f"['text'] True Program {MAIN}",
        f"['text', 'image'] False \"[image {MAIN}",
    ]
