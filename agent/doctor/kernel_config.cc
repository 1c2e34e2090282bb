// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/kernel_config.h"

#include <zlib.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lockhost::doctor {
namespace {

// zlib reads a file that is not compressed as it is.
std::string ReadCompressed(const std::string& path) {
  constexpr size_t kLimit = 4u << 20;
  gzFile file = gzopen(path.c_str(), "re");
  if (file == nullptr) return "";
  std::string text;
  char buffer[16384];
  while (text.size() < kLimit) {
    const int got = gzread(file, buffer, sizeof(buffer));
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  gzclose(file);
  return text;
}

}  // namespace

KernelConfig ParseKernelConfig(std::string_view text) {
  KernelConfig config;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    if (!absl::StartsWith(line, "CONFIG_")) continue;
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos) continue;
    const absl::string_view value = line.substr(equals + 1);
    if (value == "y" || value == "m") config.enabled.emplace(line.substr(0, equals));
  }
  return config;
}

std::optional<KernelConfig> ReadKernelConfig(const Roots& roots, const std::string& release) {
  for (const std::string& path :
       {absl::StrCat(roots.procfs, "/config.gz"), absl::StrCat(roots.boot, "/config-", release)}) {
    KernelConfig config = ParseKernelConfig(ReadCompressed(path));
    if (!config.enabled.empty()) return config;
  }
  return std::nullopt;
}

}  // namespace lockhost::doctor
