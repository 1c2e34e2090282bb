// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/support/agent_runner.h"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <utility>
#include <variant>

#include "tests/agent/support/eventually.h"

namespace lockhost::agent {

absl::StatusOr<std::unique_ptr<AgentRunner>> AgentRunner::Start(AgentOptions options) {
  spdlog::set_level(spdlog::level::warn);
  std::unique_ptr<AgentRunner> runner(new AgentRunner);
  runner->socket_ = runner->directory_.path() + "/agent.sock";
  options.socket = runner->socket_;
  options.bpf.pin_directory.clear();
  if (options.server_uids.empty()) options.server_uids = {geteuid()};
  auto loop = EventLoop::Create();
  if (!loop.ok()) return loop.status();
  runner->loop_ = *std::move(loop);
  auto agent = Agent::Create(runner->loop_.get(), options, MonotonicClock());
  if (!agent.ok()) return agent.status();
  runner->agent_ = *std::move(agent);
  runner->stop_.reset(eventfd(0, EFD_CLOEXEC));
  EventLoop* raw = runner->loop_.get();
  const absl::Status watched =
      raw->Watch(runner->stop_.get(), EPOLLIN, [raw](uint32_t) { raw->Stop(); });
  if (!watched.ok()) return watched;
  runner->thread_ = std::thread([raw] { raw->Run().IgnoreError(); });
  return runner;
}

AgentRunner::~AgentRunner() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
  agent_.reset();
}

absl::Status CheckBpfSource() { return AgentRunner::Start({.source = "bpf"}).status(); }

absl::StatusOr<ClientVm> AwaitVm(AgentClient& client) {
  auto event = client.Await(kPatience);
  if (!event.ok()) return event.status();
  if (const auto* error = std::get_if<ErrorEvent>(&*event)) {
    return absl::FailedPreconditionError(error->text);
  }
  auto* vm = std::get_if<VmEvent>(&*event);
  if (vm == nullptr) return absl::InternalError("another event than a VM");
  auto table = TableReader::Attach(vm->table.get());
  if (!table.ok()) return table.status();
  return ClientVm{vm->message, *std::move(table)};
}

}  // namespace lockhost::agent
