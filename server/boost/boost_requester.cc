// SPDX-License-Identifier: Apache-2.0
#include "server/boost/boost_requester.h"

#include <utility>

#include "agent/channel/agent_client.h"
#include "client/page/hint_page.h"

namespace lockhost::server {

void BoostRequester::Use(UniqueFd socket) {
  const std::lock_guard lock(mutex_);
  socket_ = std::move(socket);
}

void BoostRequester::Ask(VmRecord* vm, const std::vector<AwaitedHolder>& holders, TokenBucket* pace,
                         uint64_t now_ns) {
  if (holders.empty()) return;
  const VmFacts facts = vm->facts();
  // BPF sees this VM's holders at the very switch, and has asked already.
  if (facts.reports_readable) return;
  const VmRecord::Table table = vm->table();
  VmCounters& counters = vm->counters();
  for (const AwaitedHolder& holder : holders) {
    const uint64_t preempted = lockhost_state_word(LOCKHOST_RUN_STATE_PREEMPTED, holder.revision);
    if (table->ReadStateWord(holder.vcpu_id) != preempted) {
      counters.boosts_stale.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (!pace->Take(now_ns)) {
      counters.boosts_too_fast.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    const std::lock_guard lock(mutex_);
    const bool sent =
        socket_.valid() && agent::SendBoostRequest(socket_.get(), facts.vm_id, facts.vm_index,
                                                   holder.vcpu_id, holder.revision)
                               .ok();
    (sent ? counters.boosts_forwarded : counters.boosts_unsent)
        .fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace lockhost::server
