// SPDX-License-Identifier: Apache-2.0
//
// What a VMM says of itself. Input: its name, a line feed, its command line as /proc
// gives it; all of it is also tried as the name of a thread, as an fd link and as an
// option.
#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/channel/protocol.h"
#include "agent/kernel/options_parse.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/vmm.h"
#include "client/page/hint_page.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::agent {
namespace {

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void CheckVcpuNames(std::string_view text) {
  if (const auto id = ParseVcpuThreadName(text)) {
    FUZZ_CHECK(*id < LOCKHOST_MAX_SLOTS);
    FUZZ_CHECK(text.find(absl::StrCat(*id)) != std::string_view::npos);
  }
  if (const auto id = ParseVcpuFdLink(text)) {
    FUZZ_CHECK(*id < LOCKHOST_MAX_SLOTS);
    FUZZ_CHECK(ParseVcpuFdLink(absl::StrCat("anon_inode:kvm-vcpu:", *id)) == id);
  }
}

void CheckFacts(std::string_view text) {
  const size_t line_end = std::min(text.find('\n'), text.size());
  const std::string_view comm = text.substr(0, line_end);
  const std::string_view cmdline = text.substr(std::min(line_end + 1, text.size()));
  const VmmFacts facts = DescribeVmm(comm, ParseCmdline(cmdline));
  FUZZ_CHECK(IsPrintable(facts.vmm) && facts.vmm.size() <= sizeof(VmMessage::vmm));
  FUZZ_CHECK(IsPrintable(facts.name) && facts.name.size() <= cmdline.size());
  FUZZ_CHECK(IsPrintable(facts.uuid) && facts.uuid.size() <= cmdline.size());
  // 0 to 2 and the highest are the hypervisor's, the host's and the wildcard.
  FUZZ_CHECK(facts.vsock_cid == 0 || (facts.vsock_cid > 2 && facts.vsock_cid < UINT32_MAX));
  FUZZ_CHECK(!facts.vmm.empty() || facts == VmmFacts());
}

// The text as one option's value.
void CheckOptions(std::string_view text) {
  FUZZ_CHECK(IsInside(ListValue(text, "size"), text));
  const std::array apart = {std::string_view("--memory"), text};
  FUZZ_CHECK(OptionValue(apart, "--memory") == text);
  const std::array joined = {text};
  FUZZ_CHECK(IsInside(OptionValue(joined, "--memory"), text));
  const auto bytes = ParseSize(text, 1);
  if (!bytes) return;
  FUZZ_CHECK(ParseSize(absl::StrCat(*bytes), 1) == bytes);
  FUZZ_CHECK(ParseSize(absl::StrCat(*bytes, "b"), 1 << 20) == bytes);
}

}  // namespace
}  // namespace lockhost::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = lockhost::AsText(data, size);
  lockhost::agent::CheckVcpuNames(text);
  lockhost::agent::CheckFacts(text);
  lockhost::agent::CheckOptions(text);
  return 0;
}
