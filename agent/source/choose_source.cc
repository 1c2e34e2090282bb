// SPDX-License-Identifier: Apache-2.0
#include "agent/source/choose_source.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/source/bpf_source.h"
#include "agent/source/procfs_source.h"

namespace lockhost::agent {

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
                                          const Procfs* procfs, Clock clock) {
  if (wanted != "auto" && wanted != "bpf" && wanted != "procfs") {
    return absl::InvalidArgumentError(absl::StrCat("no such source: ", wanted));
  }
  ChosenSource chosen;
  if (wanted != "procfs") {
    auto source = BpfSource::Create(bpf, procfs, clock);
    if (source.ok()) {
      chosen.notes = (*source)->notes();
      chosen.source = *std::move(source);
      return chosen;
    }
    if (wanted == "bpf" || absl::IsAlreadyExists(source.status())) return source.status();
    chosen.reason = absl::StrCat("bpf: ", source.status().message());
  } else {
    chosen.reason = "procfs was asked for";
  }
  auto source = ProcfsSource::Create(procfs, clock);
  if (!source.ok()) return source.status();
  chosen.source = *std::move(source);
  return chosen;
}

}  // namespace lockhost::agent
