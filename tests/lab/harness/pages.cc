// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/pages.h"

#include <utility>

#include "client/page/hint_reader.h"

namespace lockhost::lab {
namespace {

constexpr size_t kHintPageBytes = LOCKHOST_HINT_PAGE_BYTES(LOCKHOST_MAX_SLOTS);
constexpr size_t kReportPageBytes = LOCKHOST_REPORT_PAGE_BYTES(LOCKHOST_MAX_SLOTS);

absl::Status MakeOne(Machine& machine, Region region, const char* name, size_t bytes,
                     SharedMemory& memory, LabAddress& address) {
  absl::StatusOr<SharedMemory> made = SharedMemory::Create(name, bytes);
  if (!made.ok()) return made.status();
  memory = *std::move(made);
  // Applications in a guest map hint pages read-only; so does this guest.
  const bool writable = region == Region::kReports || region == Region::kQuietReports;
  absl::StatusOr<LabAddress> shown = machine.Show(region, memory.data(), memory.bytes(), writable);
  if (!shown.ok()) return shown.status();
  address = *shown;
  return absl::OkStatus();
}

// As a guest without guestd would find it: a page that nobody looks at.
void InitialiseReports(const SharedMemory& page, uint32_t slots) {
  auto* header = static_cast<lockhost_report_header*>(page.data());
  header->abi_version = LOCKHOST_PAGE_ABI_VERSION;
  header->slot_count = slots;
  __atomic_store_n(&header->magic, LOCKHOST_REPORT_PAGE_MAGIC, __ATOMIC_RELEASE);
}

const lockhost_hint_header* Header(const void* page) {
  return static_cast<const lockhost_hint_header*>(page);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Pages>> Pages::Create(Machine* machine) {
  std::unique_ptr<Pages> pages(new Pages(machine));
  if (absl::Status made = pages->MakeAll(); !made.ok()) return made;
  return pages;
}

absl::Status Pages::MakeAll() {
  struct Wanted {
    Region region;
    const char* name;
    size_t bytes;
    SharedMemory& memory;
    LabAddress& address;
  };
  const Wanted all[] = {
      {Region::kReports, "lockhost-lab-reports", kReportPageBytes, reports_, reports_at_},
      {Region::kQuietReports, "lockhost-lab-quiet", kReportPageBytes, quiet_reports_,
       quiet_reports_at_},
      {Region::kGrpcPage, "lockhost-lab-hints", kHintPageBytes, grpc_page_, grpc_page_at_},
      {Region::kDirectLease, "lockhost-lab-lease", kHintPageBytes, direct_lease_,
       direct_lease_at_}};
  for (const Wanted& page : all) {
    absl::Status made =
        MakeOne(machine_, page.region, page.name, page.bytes, page.memory, page.address);
    if (!made.ok()) return made;
  }
  InitialiseReports(reports_, machine_.vcpus());
  InitialiseReports(quiet_reports_, machine_.vcpus());
  return absl::OkStatus();
}

absl::Status Pages::AttachTable(int fd) {
  absl::StatusOr<Mapping> table = Mapping::Map(fd, kHintPageBytes, /*writable=*/false);
  if (!table.ok()) return table.status();
  const uint32_t slots = lockhost_check_hint_page(Header(table->data()), kHintPageBytes);
  if (slots == 0) return absl::InvalidArgumentError("the agent's table is not a hint page");
  absl::StatusOr<LabAddress> shown =
      machine_.Show(Region::kTable, table->data(), table->bytes(), /*writable=*/false);
  if (!shown.ok()) return shown.status();
  table_ = *std::move(table);
  table_at_ = *shown;
  table_slots_ = slots;
  return absl::OkStatus();
}

absl::Status Pages::DetachTable() {
  absl::Status hidden = machine_.Hide(Region::kTable);
  table_ = Mapping();
  table_at_ = 0;
  table_slots_ = 0;
  return hidden;
}

const lockhost_hint_header* Pages::table() const { return Header(table_.data()); }

void Pages::Assign(Subject subject, bool watched, RunConfig& config) const {
  const SharedMemory& reports = this->reports(watched);
  config.reports = watched ? reports_at_ : quiet_reports_at_;
  config.report_slots = lockhost_check_report_page(
      static_cast<const lockhost_report_header*>(reports.data()), reports.bytes());
  config.oracle = table_at_;
  config.oracle_slots = table_slots_;
  if (subject == Subject::kLockhostGrpc) {
    config.lease = grpc_page_at_;
    config.hints = grpc_page_at_;
    config.hint_slots = lockhost_check_hint_page(Header(grpc_page_.data()), grpc_page_.bytes());
  } else if (subject == Subject::kLockhostDirect || subject == Subject::kLockhostBoost) {
    const bool leased =
        lockhost_check_hint_page(Header(direct_lease_.data()), direct_lease_.bytes()) != 0;
    config.lease = leased ? direct_lease_at_ : 0;
    config.hints = table_at_;
    config.hint_slots = table_slots_;
  }
  if (config.hint_slots == 0) config.hints = config.lease = 0;
}

uint32_t Pages::KnownVcpus() const {
  uint32_t known = 0;
  for (uint32_t i = 0; i < machine_.vcpus() && i < table_slots_; ++i) {
    const uint64_t word =
        __atomic_load_n(&lockhost_hint_slot_at(table(), i)->state_word, __ATOMIC_ACQUIRE);
    if (lockhost_state_of(word) != LOCKHOST_RUN_STATE_UNSPECIFIED) ++known;
  }
  return known;
}

uint64_t Pages::LockHolderPreemptions() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < table_slots_; ++i) {
    sum += __atomic_load_n(&lockhost_hint_slot_at(table(), i)->lock_holder_preemptions,
                           __ATOMIC_RELAXED);
  }
  return sum;
}

}  // namespace lockhost::lab
