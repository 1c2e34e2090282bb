// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_table.h"

#include <bpf/bpf.h>

#include <cerrno>

#include "absl/status/status.h"
#include "agent/table/table_header.h"

namespace lockhost::agent {

absl::StatusOr<UniqueFd> MakeBpfTable(uint64_t generation) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  UniqueFd table(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lockhost_table", sizeof(uint32_t),
                                sizeof(lockhost_hint_slot), 1 + LOCKHOST_MAX_SLOTS, &options));
  if (!table.valid()) return absl::ErrnoToStatus(errno, "make a vCPU table");
  const lockhost_hint_header header = MakeTableHeader(generation);
  const uint32_t first = 0;
  if (bpf_map_update_elem(table.get(), &first, &header, BPF_ANY) != 0) {
    return absl::ErrnoToStatus(errno, "fill a vCPU table's header");
  }
  if (bpf_map_freeze(table.get()) != 0) return absl::ErrnoToStatus(errno, "freeze a vCPU table");
  return table;
}

}  // namespace lockhost::agent
