// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/threads/thread_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "thread_state.skel.h"

namespace lockhost::guest_agent {
namespace {

constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO
constexpr char kKernelBtf[] = "/sys/kernel/btf/vmlinux";

// The first complaint of libbpf says more than the errno that comes back.
thread_local std::string first_complaint;

int KeepFirstComplaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || !first_complaint.empty()) return 0;
  char text[160];
  vsnprintf(text, sizeof(text), format, arguments);
  first_complaint = std::string(text).substr(0, std::string_view(text).find('\n'));
  return 0;
}

absl::Status LibbpfError(int error, const char* attempt) {
  const std::string text =
      first_complaint.empty() ? attempt : absl::StrCat(attempt, " (", first_complaint, ")");
  return absl::ErrnoToStatus(error < 0 ? -error : error, text);
}

bool MayUseBpf() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  const uint64_t effective = data[0].effective | uint64_t{data[1].effective} << 32;
  const auto has = [effective](int capability) { return (effective >> capability & 1) != 0; };
  return has(CAP_BPF) && has(CAP_PERFMON);
}

absl::Status CheckSurroundings() {
  if (!MayUseBpf()) return absl::PermissionDeniedError("without CAP_BPF and CAP_PERFMON");
  struct stat status {};
  if (stat(kKernelBtf, &status) != 0) {
    return absl::NotFoundError(absl::StrCat("the kernel has no ", kKernelBtf));
  }
  if (stat("/proc/self/ns/pid", &status) != 0) {
    return absl::UnavailableError("/proc/self/ns/pid cannot be looked at");
  }
  if (status.st_ino != kInitialPidNamespace) {
    return absl::FailedPreconditionError("not in the first pid namespace");
  }
  return absl::OkStatus();
}

template <typename T>
void Store(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadPrograms>> ThreadPrograms::Load() {
  if (absl::Status status = CheckSurroundings(); !status.ok()) return status;
  libbpf_set_print(&KeepFirstComplaint);
  first_complaint.clear();
  thread_state_bpf* skeleton = thread_state_bpf__open();
  if (skeleton == nullptr) return LibbpfError(errno, "open the BPF object");
  std::unique_ptr<ThreadPrograms> programs(new ThreadPrograms(skeleton));
  if (const int error = thread_state_bpf__load(skeleton); error != 0) {
    return LibbpfError(error, "load the BPF programs");
  }
  if (const int error = thread_state_bpf__attach(skeleton); error != 0) {
    return LibbpfError(error, "attach the BPF programs");
  }
  return programs;
}

ThreadPrograms::~ThreadPrograms() { thread_state_bpf__destroy(skeleton_); }

int ThreadPrograms::tables_fd() const { return bpf_map__fd(skeleton_->maps.tables); }

absl::Status ThreadPrograms::Add(uint32_t tgid, const lt_process& process) {
  auto& shared = *skeleton_->bss;
  Store<uint64_t>(shared.table_owner[process.table], process.id);
  const int processes = bpf_map__fd(skeleton_->maps.processes);
  if (bpf_map_update_elem(processes, &tgid, &process, BPF_ANY) != 0) {
    Store<uint64_t>(shared.table_owner[process.table], 0);
    return absl::ErrnoToStatus(errno, "tell the BPF programs of a process");
  }
  Store<uint32_t>(shared.process_count, shared.process_count + 1);
  return absl::OkStatus();
}

void ThreadPrograms::Remove(uint32_t tgid, uint32_t table) {
  auto& shared = *skeleton_->bss;
  Store<uint64_t>(shared.table_owner[table], 0);
  bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.processes), &tgid);
  Store<uint32_t>(shared.process_count, shared.process_count - 1);
}

bool ThreadPrograms::Knows(uint32_t tgid, uint64_t id) const {
  lt_process process = {};
  return bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.processes), &tgid, &process) == 0 &&
         process.id == id;
}

std::array<uint64_t, LT_COUNTER_COUNT> ThreadPrograms::Counters() const {
  std::array<uint64_t, LT_COUNTER_COUNT> sums = {};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return sums;
  std::vector<uint64_t> values(static_cast<size_t>(cpus));
  for (uint32_t which = 0; which < LT_COUNTER_COUNT; ++which) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.counters), &which, values.data()) != 0) {
      continue;
    }
    for (const uint64_t value : values) sums[which] += value;
  }
  return sums;
}

lockhost_threads_offer OfferOf(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kOk:
      return LOCKHOST_THREADS_ON;
    case absl::StatusCode::kPermissionDenied:
      return LOCKHOST_THREADS_UNPRIVILEGED;
    case absl::StatusCode::kNotFound:
      return LOCKHOST_THREADS_NO_BTF;
    case absl::StatusCode::kFailedPrecondition:
      return LOCKHOST_THREADS_PID_NAMESPACE;
    default:
      return LOCKHOST_THREADS_REFUSED;
  }
}

}  // namespace lockhost::guest_agent
