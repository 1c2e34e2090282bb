// SPDX-License-Identifier: Apache-2.0
//
// vms, watch and top: lockhostd's answers, shown.
#include <poll.h>

#include <cstdio>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/host_client.h"
#include "client/cli/json.h"
#include "client/cli/rates.h"
#include "client/cli/terminal.h"
#include "client/cli/views.h"
#include "client/cli/vm_choice.h"
#include "common/clock.h"

namespace lockhost::cli {
namespace {

void Print(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) printf("%s\n", line.c_str());
  fflush(stdout);
}

// Looks at all VMs, once for each frame.
class TopLooks {
 public:
  TopLooks(HostClient* client, Clock clock) : client_(client), clock_(clock) {}

  absl::StatusOr<v1::ListVmsResponse> Look() {
    auto list = client_->ListVms(/*include_vcpus=*/true);
    if (!list.ok()) return list;
    const uint64_t now_ns = clock_.now_ns();
    for (const v1::Vm& vm : list->vms()) {
      rates_.Observe(vm.vm_id(), vm.generation(), vm.vcpus(), now_ns, vm.boosts().granted());
    }
    rates_.DropOthers(now_ns);
    return list;
  }
  const RateMeter& rates() const { return rates_; }

 private:
  HostClient* const client_;
  const Clock clock_;
  RateMeter rates_;
};

// Rates need two looks, so the first frame comes after one interval.
absl::Status TopPlain(const Options& options, TopLooks* looks) {
  for (uint32_t frame = 0; options.count == 0 || frame <= options.count; ++frame) {
    const auto list = looks->Look();
    if (!list.ok()) return list.status();
    if (frame > 0) {
      if (options.json) {
        absl::Status printed = PrintJson(*list);
        if (!printed.ok()) return printed;
      } else {
        Print(TopFrame(*list, looks->rates(), 0));
      }
      if (frame == options.count) break;
    }
    poll(nullptr, 0, static_cast<int>(options.interval.count()));
  }
  return absl::OkStatus();
}

absl::Status TopOnScreen(const Options& options, TopLooks* looks, Screen* screen) {
  do {
    const auto list = looks->Look();
    if (!list.ok()) return list.status();
    screen->Show(TopFrame(*list, looks->rates(), screen->height()));
  } while (screen->Wait(options.interval));
  return absl::OkStatus();
}

}  // namespace

absl::Status ListCommand(const Options& options) {
  const auto client = HostClient::Connect(options.socket, options.deadline);
  if (!client.ok()) return client.status();
  const auto list = (*client)->ListVms(/*include_vcpus=*/false);
  if (!list.ok()) return list.status();
  if (options.json) return PrintJson(*list);
  Print(VmTable(*list));
  return absl::OkStatus();
}

absl::Status WatchCommand(const Options& options, const std::string& vm) {
  const auto client = HostClient::Connect(options.socket, options.deadline);
  if (!client.ok()) return client.status();
  const auto list = (*client)->ListVms(/*include_vcpus=*/false);
  if (!list.ok()) return list.status();
  const auto chosen = ChooseVm(*list, vm);
  if (!chosen.ok()) return chosen.status();
  const Clock clock = MonotonicClock();
  RateMeter rates;
  uint32_t messages = 0;
  absl::Status printed;
  const auto show = [&](const v1::WatchVmResponse& message) {
    rates.Observe(message.vm().vm_id(), message.vm().generation(), message.vcpus(), clock.now_ns());
    if (options.json) {
      printed = PrintJson(message);
    } else {
      Print(WatchFrame(message, rates));
    }
    ++messages;
    return printed.ok() && (options.count == 0 || messages < options.count);
  };
  absl::Status ended = (*client)->Watch(chosen->vm_id(), options.interval, show);
  return printed.ok() ? ended : printed;
}

absl::Status TopCommand(const Options& options) {
  // Before gRPC's threads: the screen blocks signals, and they must inherit that.
  std::unique_ptr<Screen> screen;
  const absl::Status listens = CheckAdminSocket(options.socket);
  if (!listens.ok()) return listens;
  if (OnTerminal() && options.count == 0 && !options.json) {
    auto opened = Screen::Open();
    if (!opened.ok()) return opened.status();
    screen = *std::move(opened);
  }
  const auto client = HostClient::Connect(options.socket, options.deadline);
  if (!client.ok()) return client.status();
  TopLooks looks(client->get(), MonotonicClock());
  return screen != nullptr ? TopOnScreen(options, &looks, screen.get()) : TopPlain(options, &looks);
}

}  // namespace lockhost::cli
