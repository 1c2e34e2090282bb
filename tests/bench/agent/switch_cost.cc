// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/switch_cost.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>

#include "common/unique_fd.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/tiny_vm.h"
#include "tests/bench/agent/agent_under_test.h"

namespace lockhost::bench {
namespace {

using agent::Eventually;
using agent::TinyVm;
using std::chrono::steady_clock;

// The players sleep in turn (std::atomic waits on a futex), so each move is a switch.
class PingPong {
 public:
  explicit PingPong(int moves) : moves_(moves) {}

  void Play(int side) {
    for (int i = side; i < moves_; i += 2) {
      for (int turn = turn_.load(); turn != i; turn = turn_.load()) turn_.wait(turn);
      if (i == 0) began_ = steady_clock::now();
      turn_.store(i + 1);
      turn_.notify_one();
    }
    if (++finished_ == 2) ended_ = steady_clock::now();
    done_ = finished_ == 2;
  }

  bool done() const { return done_; }
  double NsPerMove() const {
    return std::chrono::duration<double, std::nano>(ended_ - began_).count() / moves_;
  }

 private:
  const int moves_;
  std::atomic<int> turn_ = 0;
  std::atomic<int> finished_ = 0;
  std::atomic<bool> done_ = false;
  steady_clock::time_point began_, ended_;
};

double Round(TinyVm& vm, int moves) {
  PingPong game(moves);
  for (const int side : {0, 1}) vm.Do(side, [&game, side] { game.Play(side); });
  Eventually([&] { return game.done(); }, std::chrono::minutes(1));
  return game.NsPerMove();
}

// Run time and runs of the program of that name, as the kernel has counted them since it
// was told to.
struct ProgramTime {
  uint64_t ns = 0;
  uint64_t runs = 0;
};
ProgramTime TimeOfProgram(std::string_view name) {
  for (uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const UniqueFd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    if (!program.valid() || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) continue;
    if (name == info.name && info.run_cnt != 0) return {info.run_time_ns, info.run_cnt};
  }
  return {};
}

bool AreBound(AgentUnderTest& agent) {
  const AgentUnderTest::Vm* vm = agent.FindVm(getpid());
  return vm != nullptr && vm->table->ReadStateWord(0) != 0 && vm->table->ReadStateWord(1) != 0;
}

}  // namespace

absl::StatusOr<SwitchCostFigures> MeasureSwitchCost(int rounds, int switches_each) {
  auto vm = TinyVm::Create(2);
  if (!vm.ok()) return vm.status();
  for (const int vcpu : {0, 1}) (*vm)->StartThread(vcpu);
  SwitchCostFigures figures;
  Round(**vm, switches_each / 10);  // warm
  for (int i = 0; i < rounds; ++i) {
    figures.without_ns.push_back(Round(**vm, switches_each));
    auto agent = AgentUnderTest::Start("bpf");
    if (!agent.ok()) return agent.status();
    if (!Eventually([&] { return AreBound(**agent); })) {
      return absl::InternalError("the agent has not found the vCPUs");
    }
    figures.with_ns.push_back(Round(**vm, switches_each));
    if (i + 1 < rounds) continue;
    // Counting costs time too, hence apart.
    const UniqueFd counting(bpf_enable_stats(BPF_STATS_RUN_TIME));
    Round(**vm, switches_each);
    const ProgramTime time = TimeOfProgram("on_switch");
    if (time.runs != 0) {
      figures.program_ns = static_cast<double>(time.ns) / static_cast<double>(time.runs);
    }
  }
  return figures;
}

}  // namespace lockhost::bench
