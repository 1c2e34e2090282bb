// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/vmm.h"

#include <algorithm>
#include <set>

#include "agent/kernel/options_parse.h"
#include "agent/kernel/proc_parse.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

struct NamePattern {
  std::string_view prefix;
  std::string_view suffix;
};
constexpr NamePattern kVcpuNames[] = {{"CPU ", "/KVM"},  {"CPU ", "/TCG"},    {"fc_vcpu ", ""},
                                      {"kvm-vcpu-", ""}, {"crosvm_vcpu", ""}, {"vcpu", ""},
                                      {"lab-vcpu ", ""}};

std::optional<uint32_t> NumberBetween(std::string_view text, const NamePattern& pattern) {
  if (text.size() < pattern.prefix.size() + pattern.suffix.size() ||
      !text.starts_with(pattern.prefix) || !text.ends_with(pattern.suffix)) {
    return std::nullopt;
  }
  text.remove_prefix(pattern.prefix.size());
  text.remove_suffix(pattern.suffix.size());
  const auto number = ParseNumber(text);
  if (!number || *number >= LOCKHOST_MAX_SLOTS) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

struct VmmPattern {
  std::string_view program;  // a name begins with it
  std::string_view vmm;
};
constexpr VmmPattern kVmms[] = {{"qemu", "qemu"},
                                {"kvm", "qemu"},  // Debian's alias
                                {"firecracker", "firecracker"},
                                {"cloud-hyperviso", "cloud-hypervisor"},  // as cut by the kernel
                                {"crosvm", "crosvm"},
                                {"lkvm", "kvmtool"},
                                {"lockhost-lab", "lab"}};

std::string_view VmmOfProgram(std::string_view name) {
  for (const VmmPattern& pattern : kVmms) {
    if (name.starts_with(pattern.program)) return pattern.vmm;
  }
  return {};
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

uint32_t ParseCid(std::string_view text) {
  const auto cid = ParseNumber(text);
  return cid && *cid > 2 && *cid < UINT32_MAX ? static_cast<uint32_t>(*cid) : 0;
}

Accelerator AcceleratorOf(std::string_view name) {
  if (name == "kvm") return Accelerator::kKvm;
  return name == "tcg" ? Accelerator::kTcg : Accelerator::kUnknown;
}

// `-accel kvm,...`, `-machine q35,accel=kvm`, `-enable-kvm`. QEMU tries several in turn.
Accelerator QemuAccelerator(std::span<const std::string_view> arguments) {
  std::set<std::string_view> named;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view value = i + 1 < arguments.size() ? arguments[i + 1] : "";
    if (arguments[i] == "-enable-kvm") named.insert("kvm");
    if (arguments[i] == "-accel") named.insert(value.substr(0, value.find(',')));
    if (arguments[i] == "-machine" || arguments[i] == "-M") {
      const std::string_view accelerator = ListValue(value, "accel");
      if (!accelerator.empty()) named.insert(accelerator);  // "kvm:tcg" is neither
    }
  }
  return named.size() == 1 ? AcceleratorOf(*named.begin()) : Accelerator::kUnknown;
}

// `-smbios type=1,...,uuid=U` tells the guest another UUID than `-uuid` only by mistake.
std::string_view SmbiosUuid(std::span<const std::string_view> arguments) {
  for (size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] != "-smbios" || ListValue(arguments[i + 1], "type") != "1") continue;
    return ListValue(arguments[i + 1], "uuid");
  }
  return {};
}

// `SIZE,...` or `size=SIZE,...`.
uint64_t ListedSize(std::string_view list, uint64_t unit_bytes) {
  const std::string_view size = ListValue(list, "size");
  return ParseSize(size.empty() ? list.substr(0, list.find(',')) : size, unit_bytes).value_or(0);
}

void DescribeQemu(std::span<const std::string_view> arguments, VmmFacts& facts) {
  const std::string_view name = OptionValue(arguments, "-name");
  const std::string_view guest = ListValue(name, "guest");
  facts.name = PrintableFact(guest.empty() ? name.substr(0, name.find(',')) : guest);
  const std::string_view uuid = OptionValue(arguments, "-uuid");
  facts.uuid = PrintableFact(uuid.empty() ? SmbiosUuid(arguments) : uuid);
  for (std::string_view argument : arguments) {
    if (!argument.starts_with("vhost-vsock-")) continue;
    facts.vsock_cid = ParseCid(ListValue(argument, "guest-cid"));
  }
  facts.accelerator = QemuAccelerator(arguments);
  facts.memory_bytes = ListedSize(OptionValue(arguments, "-m"), kMiB);
}

void DescribeCrosvm(std::span<const std::string_view> arguments, VmmFacts& facts) {
  facts.vsock_cid = ParseCid(OptionValue(arguments, "--cid"));
  const std::string_view memory = OptionValue(arguments, "--mem");
  facts.memory_bytes = ListedSize(memory.empty() ? OptionValue(arguments, "-m") : memory, kMiB);
}

}  // namespace

std::optional<uint32_t> ParseVcpuThreadName(std::string_view name) {
  for (const NamePattern& pattern : kVcpuNames) {
    if (const auto id = NumberBetween(name, pattern)) return id;
  }
  return std::nullopt;
}

std::optional<uint32_t> ParseVcpuFdLink(std::string_view target) {
  return NumberBetween(target, {"anon_inode:kvm-vcpu:", ""});
}

std::string_view AcceleratorName(Accelerator accelerator) {
  switch (accelerator) {
    case Accelerator::kUnknown:
      break;
    case Accelerator::kKvm:
      return "kvm";
    case Accelerator::kTcg:
      return "tcg";
  }
  return {};
}

Accelerator AcceleratorOfThreadName(std::string_view name) {
  if (!ParseVcpuThreadName(name)) return Accelerator::kUnknown;
  // The other known VMMs run on KVM alone, or say nothing of it in their names.
  if (name.ends_with("/TCG")) return Accelerator::kTcg;
  return name.ends_with("/KVM") ? Accelerator::kKvm : Accelerator::kUnknown;
}

std::string PrintableFact(std::string_view text) {
  std::string clean(text);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return clean;
}

VmmFacts DescribeVmm(std::string_view comm, std::span<const std::string_view> arguments) {
  VmmFacts facts;
  facts.vmm = VmmOfProgram(comm);
  if (facts.vmm.empty() && !arguments.empty()) facts.vmm = VmmOfProgram(BaseName(arguments[0]));
  if (facts.vmm == "qemu") {
    DescribeQemu(arguments, facts);
  } else if (facts.vmm == "firecracker") {
    facts.name = PrintableFact(OptionValue(arguments, "--id"));
  } else if (facts.vmm == "cloud-hypervisor") {
    facts.vsock_cid = ParseCid(ListValue(OptionValue(arguments, "--vsock"), "cid"));
    facts.memory_bytes = ListedSize(OptionValue(arguments, "--memory"), 1);
  } else if (facts.vmm == "crosvm") {
    DescribeCrosvm(arguments, facts);
  } else if (facts.vmm == "lab") {
    facts.name = PrintableFact(OptionValue(arguments, "--name"));
  }
  return facts;
}

}  // namespace lockhost::agent
