// SPDX-License-Identifier: Apache-2.0
#include "agent/kvm_stats/kvm_stats_reader.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kvm_stats/stats_layout.h"

namespace lockhost::agent {
namespace {

constexpr std::string_view kLinkPrefix = "anon_inode:kvm-vcpu-stats:";

// Never read(): the file's position is the VMM's too.
absl::StatusOr<std::string> ReadAt(const UniqueFd& fd, size_t offset, size_t bytes) {
  std::string data(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t size =
        pread(fd.get(), data.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, "read KVM statistics");
    if (size == 0) return absl::InvalidArgumentError("KVM statistics end early");
    done += static_cast<size_t>(size);
  }
  return data;
}

absl::StatusOr<StatsLayout> ReadLayout(const UniqueFd& fd) {
  const auto start = ReadAt(fd, 0, kStatsHeaderBytes);
  if (!start.ok()) return start.status();
  const auto header = ParseStatsHeader(*start);
  if (!header.ok()) return header.status();
  const auto metadata = ReadAt(fd, 0, header->metadata_bytes());
  if (!metadata.ok()) return metadata.status();
  return ParseStatsLayout(*metadata);
}

// A number in another unit than its name promises is no number.
bool IsAsNamed(const StatDescriptor& stat) {
  if (stat.type != StatType::kCumulative || stat.values != 1) return false;
  if (!stat.name.ends_with("_ns")) return stat.unit == StatUnit::kNone && stat.exponent == 0;
  return stat.unit == StatUnit::kSeconds && stat.base == StatBase::kPow10 && stat.exponent == -9;
}

bool StillRuns(const Procfs& procfs, const ProcessId& process) {
  const auto stat = procfs.Stat(process.pid);
  return stat && stat->start_ticks == process.start_ticks;
}

absl::Status Ended(const ProcessId& process) {
  return absl::NotFoundError(absl::StrCat("process ", process.pid, " has ended"));
}

std::string OwnLink(const UniqueFd& fd) {
  char target[64];
  const ssize_t size =
      readlink(absl::StrCat("/proc/self/fd/", fd.get()).c_str(), target, sizeof(target));
  return size > 0 ? std::string(target, static_cast<size_t>(size)) : std::string();
}

std::optional<uint64_t> Sum(const std::vector<VcpuKvmStats>& vcpus, size_t stat) {
  uint64_t sum = 0;
  for (const VcpuKvmStats& vcpu : vcpus) {
    const auto& value = vcpu.values[stat];
    if (!value || __builtin_add_overflow(sum, *value, &sum)) return std::nullopt;
  }
  return sum;
}

}  // namespace

std::optional<uint32_t> ParseVcpuStatsLink(std::string_view target) {
  if (!target.starts_with(kLinkPrefix)) return std::nullopt;
  const auto id = ParseNumber(target.substr(kLinkPrefix.size()));
  if (!id || *id > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

absl::StatusOr<std::unique_ptr<KvmStatsReader>> KvmStatsReader::Open(const Procfs& procfs,
                                                                     const ProcessId& process,
                                                                     KvmStatsCounts& counts) {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd.valid()) return absl::ErrnoToStatus(errno, "pidfd_open");
  if (!StillRuns(procfs, process)) return Ended(process);
  absl::Status failure = absl::NotFoundError(
      absl::StrCat("process ", process.pid,
                   " shows no open file of KVM statistics (QEMU keeps them open from 8.1 on)"));
  std::unique_ptr<KvmStatsReader> reader(new KvmStatsReader);
  for (const ProcFd& link : procfs.Descriptors(process.pid)) {
    if (!ParseVcpuStatsLink(link.target)) continue;
    auto file = Take(pidfd, link);
    if (file.ok()) {
      ++counts.taken;
      reader->Add(*std::move(file));
      continue;
    }
    failure = file.status();
    if (absl::IsPermissionDenied(failure)) ++counts.refused;
    if (absl::IsInvalidArgument(failure)) ++counts.malformed;
  }
  if (!StillRuns(procfs, process)) return Ended(process);
  if (reader->files_.empty()) return failure;
  return reader;
}

absl::StatusOr<KvmStatsReader::VcpuFile> KvmStatsReader::Take(const UniqueFd& process,
                                                              const ProcFd& link) {
  VcpuFile file;
  file.fd.reset(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), link.number, 0)));
  if (!file.fd.valid()) return absl::ErrnoToStatus(errno, "pidfd_getfd");
  // The number may have been closed and used again since the link was read.
  const auto vcpu_id = ParseVcpuStatsLink(OwnLink(file.fd));
  if (!vcpu_id) return absl::NotFoundError("the file of KVM statistics was closed meanwhile");
  file.vcpu_id = *vcpu_id;
  auto layout = ReadLayout(file.fd);
  if (!layout.ok()) return layout.status();
  if (!layout->id.ends_with(absl::StrCat("/vcpu-", *vcpu_id))) {
    return absl::InvalidArgumentError("KVM statistics of another vCPU than their link says");
  }
  file.id = std::move(layout->id);
  for (const StatDescriptor& stat : layout->descriptors) {
    const auto* const found = std::find(kKvmStatNames.begin(), kKvmStatNames.end(), stat.name);
    if (found == kKvmStatNames.end() || !IsAsNamed(stat)) continue;
    file.offsets[static_cast<size_t>(found - kKvmStatNames.begin())] = stat.file_offset;
  }
  return file;
}

void KvmStatsReader::Add(VcpuFile file) {
  const auto same = [&file](const VcpuFile& other) { return other.id == file.id; };
  if (std::none_of(files_.begin(), files_.end(), same)) files_.push_back(std::move(file));
}

// One system call a vCPU: all that is wanted lies within a few kilobytes.
absl::StatusOr<KvmStatValues> KvmStatsReader::ReadValues(const VcpuFile& file) {
  uint32_t first = std::numeric_limits<uint32_t>::max();
  uint32_t end = 0;
  for (const auto& offset : file.offsets) {
    if (!offset) continue;
    first = std::min(first, *offset);
    end = std::max(end, *offset + static_cast<uint32_t>(sizeof(uint64_t)));
  }
  KvmStatValues values;
  if (end == 0) return values;
  const auto data = ReadAt(file.fd, first, end - first);
  if (!data.ok()) return data.status();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!file.offsets[i]) continue;
    uint64_t value = 0;
    std::memcpy(&value, data->data() + (*file.offsets[i] - first), sizeof(value));
    values[i] = value;
  }
  return values;
}

absl::StatusOr<KvmStats> KvmStatsReader::Read() const {
  KvmStats stats;
  for (const VcpuFile& file : files_) {
    const auto values = ReadValues(file);
    if (!values.ok()) return values.status();
    stats.vcpus.push_back({file.vcpu_id, *values});
  }
  for (size_t i = 0; i < stats.sums.size(); ++i) stats.sums[i] = Sum(stats.vcpus, i);
  return stats;
}

}  // namespace lockhost::agent
