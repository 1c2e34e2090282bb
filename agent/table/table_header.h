// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_TABLE_HEADER_H_
#define LOCKHOST_AGENT_TABLE_TABLE_HEADER_H_

#include <cstdint>

#include "client/page/hint_page.h"

namespace lockhost::agent {

// Bytes of every vCPU table: all have room for every vCPU that a page can describe.
inline constexpr uint32_t kTableBytes = LOCKHOST_HINT_PAGE_BYTES(LOCKHOST_MAX_SLOTS);

// Header of a new table. It has no lease (valid_until_ns 0): a guest that maps the table
// keeps the lease in a page of its own, because only it knows its clock.
// `sampled_every_ns`: 0 where the writer sees every switch.
inline lockhost_hint_header MakeTableHeader(uint64_t generation, uint32_t sampled_every_ns = 0) {
  lockhost_hint_header header{};
  header.magic = LOCKHOST_HINT_PAGE_MAGIC;
  header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
  header.header_size = sizeof(lockhost_hint_header);
  header.slot_stride = sizeof(lockhost_hint_slot);
  header.slot_count = LOCKHOST_MAX_SLOTS;
  header.mode = LOCKHOST_MODE_UNSPECIFIED;
  header.generation = generation;
  header.path = LOCKHOST_PAGE_PATH_DIRECT_MAP;
  header.sampled_every_ns = sampled_every_ns;
  return header;
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_TABLE_HEADER_H_
