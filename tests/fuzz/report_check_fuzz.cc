// SPDX-License-Identifier: Apache-2.0
//
// A guest's requests to lockhostd. Input: the slots of its table (2 bytes), then the
// request as it comes over the wire, tried as each of the two kinds.
#include <set>
#include <string_view>

#include "client/page/hint_page.h"
#include "server/service/report_check.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::server {
namespace {

template <typename Message>
bool Parse(std::string_view wire, Message& message) {
  return message.ParseFromArray(wire.data(), static_cast<int>(wire.size()));
}

void CheckReportFrom(std::string_view wire, uint32_t slot_count) {
  v1::ReportHoldersRequest request;
  if (!Parse(wire, request) || !CheckReport(request, slot_count).ok()) return;
  FUZZ_CHECK(request.demand().ttl_ns() <= kMaxAskedTtlNs);
  std::set<uint32_t> vcpus;
  for (const v1::HolderReport& holder : request.holders()) {
    FUZZ_CHECK(holder.vcpu_id() < slot_count && vcpus.insert(holder.vcpu_id()).second);
    FUZZ_CHECK(holder.age_ns() <= kMaxReportAgeNs);
    // A revision of the table, which has this many bits of it.
    FUZZ_CHECK(lockhost_revision_of(lockhost_state_word(0, holder.revision())) ==
               holder.revision());
  }
}

void CheckWatchFrom(std::string_view wire) {
  v1::WatchHintsRequest request;
  if (!Parse(wire, request) || !CheckWatchRequest(request).ok()) return;
  FUZZ_CHECK(request.protocol_version() > 0);
  FUZZ_CHECK(request.capabilities_size() <= kMaxCapabilities);
  FUZZ_CHECK(request.agent_version().size() <= kMaxAgentVersionBytes);
}

}  // namespace
}  // namespace lockhost::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::ByteReader input(data, size);
  const uint32_t slot_count = input.Take<uint16_t>() % (LOCKHOST_MAX_SLOTS + 1);
  const std::string_view wire = input.TakeRest();
  lockhost::server::CheckReportFrom(wire, slot_count);
  lockhost::server::CheckWatchFrom(wire);
  return 0;
}
