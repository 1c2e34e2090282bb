// SPDX-License-Identifier: Apache-2.0
#include "agent/source/choose_source.h"

#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/source/bpf_source.h"
#include "agent/source/polled_source.h"

namespace lockhost::agent {
namespace {

// Best first.
constexpr std::array kKinds = {SourceKind::kBpf, SourceKind::kPerf, SourceKind::kProcfs};

struct Made {
  std::unique_ptr<Source> source;
  std::vector<std::string> notes = {};
};

absl::StatusOr<Made> Make(SourceKind kind, const BpfOptions& bpf, const Procfs* procfs,
                          const std::string& sysfs_root, Clock clock) {
  if (kind == SourceKind::kBpf) {
    auto source = BpfSource::Create(bpf, procfs, clock);
    if (!source.ok()) return source.status();
    std::vector<std::string> notes = (*source)->notes();
    return Made{*std::move(source), std::move(notes)};
  }
  auto source = kind == SourceKind::kPerf ? PolledSource::CreatePerf(procfs, sysfs_root, clock)
                                          : PolledSource::CreateProcfs(procfs, sysfs_root, clock);
  if (!source.ok()) return source.status();
  return Made{*std::move(source)};
}

}  // namespace

const char* SourceName(SourceKind kind) {
  switch (kind) {
    case SourceKind::kBpf:
      return "bpf";
    case SourceKind::kPerf:
      return "perf";
    case SourceKind::kProcfs:
      return "procfs";
    case SourceKind::kUnspecified:
      break;
  }
  return "unspecified";
}

absl::StatusOr<ChosenSource> ChooseSource(const std::string& wanted, const BpfOptions& bpf,
                                          const Procfs* procfs, const std::string& sysfs_root,
                                          Clock clock) {
  ChosenSource chosen;
  absl::Status status = absl::InvalidArgumentError(absl::StrCat("no such source: ", wanted));
  for (const SourceKind kind : kKinds) {
    if (wanted != "auto" && wanted != SourceName(kind)) continue;
    auto made = Make(kind, bpf, procfs, sysfs_root, clock);
    if (made.ok()) {
      if (wanted != "auto" && kind != kKinds.front()) {
        chosen.reason = absl::StrCat(wanted, " was asked for");
      }
      chosen.source = std::move(made->source);
      chosen.notes = std::move(made->notes);
      return chosen;
    }
    status = made.status();
    if (absl::IsAlreadyExists(status)) return status;
    absl::StrAppend(&chosen.reason, chosen.reason.empty() ? "" : "; ", SourceName(kind), ": ",
                    status.message());
  }
  return status;
}

absl::StatusOr<ChosenSource> ChooseNextSource(SourceKind failed, const std::string& why,
                                              const Procfs* procfs, const std::string& sysfs_root,
                                              Clock clock) {
  ChosenSource chosen;
  chosen.reason = absl::StrCat(SourceName(failed), ": ", why);
  bool is_worse = false;
  for (const SourceKind kind : kKinds) {
    if (is_worse) {
      auto made = Make(kind, {}, procfs, sysfs_root, clock);
      if (made.ok()) {
        chosen.source = std::move(made->source);
        return chosen;
      }
      absl::StrAppend(&chosen.reason, "; ", SourceName(kind), ": ", made.status().message());
    }
    is_worse |= kind == failed;
  }
  return absl::FailedPreconditionError(chosen.reason);
}

}  // namespace lockhost::agent
