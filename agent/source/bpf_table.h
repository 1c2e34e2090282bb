// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_BPF_TABLE_H_
#define LOCKHOST_AGENT_SOURCE_BPF_TABLE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// Makes the vCPU table of one VM: an array map that can be mapped, header filled, then
// frozen. From then on programs alone can write it; a descriptor of it can be handed to
// anybody, who sees this VM and can change nothing.
absl::StatusOr<UniqueFd> MakeBpfTable(uint64_t generation);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_BPF_TABLE_H_
