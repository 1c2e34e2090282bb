// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_KVM_STAT_NAMES_H_
#define LOCKHOST_AGENT_TABLE_KVM_STAT_NAMES_H_

#include <array>
#include <string_view>

namespace lockhost::agent {

// KVM's own names, in KVM's own units: events, or nanoseconds (`_ns`).
inline constexpr std::array<std::string_view, 12> kKvmStatNames = {"preemption_reported",
                                                                   "preemption_other",
                                                                   "directed_yield_attempted",
                                                                   "directed_yield_successful",
                                                                   "halt_successful_poll",
                                                                   "halt_attempted_poll",
                                                                   "halt_wakeup",
                                                                   "halt_poll_success_ns",
                                                                   "halt_poll_fail_ns",
                                                                   "halt_wait_ns",
                                                                   "exits",
                                                                   "signal_exits"};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_KVM_STAT_NAMES_H_
