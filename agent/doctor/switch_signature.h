// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_SWITCH_SIGNATURE_H_
#define LOCKHOST_AGENT_DOCTOR_SWITCH_SIGNATURE_H_

#include <string>

#include "absl/status/status.h"

namespace lockhost::doctor {

// Whether the kernel's sched_switch hands its arguments over as the BPF programs take
// them: (preempt, prev, next, prev_state). Kernels before 6.0 had prev_state second or
// not at all, and no version number tells what was ported back; the type information in
// `btf_directory`/vmlinux does.
// Errors: NOT_FOUND there is no type information, or no such tracepoint;
// FAILED_PRECONDITION it has other arguments.
absl::Status CheckSwitchSignature(const std::string& btf_directory);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_SWITCH_SIGNATURE_H_
