// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/vmm.h"

#include <algorithm>

#include "agent/kernel/proc_parse.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {
namespace {

struct NamePattern {
  std::string_view prefix;
  std::string_view suffix;
};
constexpr NamePattern kVcpuNames[] = {{"CPU ", "/KVM"},    {"CPU ", "/TCG"}, {"fc_vcpu ", ""},
                                      {"crosvm_vcpu", ""}, {"vcpu", ""},     {"lab-vcpu ", ""}};

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

// The value of `--option VALUE` or `--option=VALUE`.
std::string_view OptionValue(std::span<const std::string_view> arguments, std::string_view option) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == option && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].size() > option.size() && arguments[i].starts_with(option) &&
        arguments[i][option.size()] == '=') {
      return arguments[i].substr(option.size() + 1);
    }
  }
  return {};
}

// The value of `key=` in a comma-separated list such as "guest=web,debug-threads=on".
std::string_view ListValue(std::string_view list, std::string_view key) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    if (item.size() > key.size() && item.starts_with(key) && item[key.size()] == '=') {
      return item.substr(key.size() + 1);
    }
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return {};
}

uint32_t ParseCid(std::string_view text) {
  const auto cid = ParseNumber(text);
  return cid && *cid > 2 && *cid < UINT32_MAX ? static_cast<uint32_t>(*cid) : 0;
}

// Goes into logs and labels.
std::string Printable(std::string_view text) {
  std::string clean(text);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return clean;
}

void DescribeQemu(std::span<const std::string_view> arguments, VmmFacts& facts) {
  const std::string_view name = OptionValue(arguments, "-name");
  const std::string_view guest = ListValue(name, "guest");
  facts.name = Printable(guest.empty() ? name.substr(0, name.find(',')) : guest);
  facts.uuid = Printable(OptionValue(arguments, "-uuid"));
  for (std::string_view argument : arguments) {
    if (!argument.starts_with("vhost-vsock-")) continue;
    facts.vsock_cid = ParseCid(ListValue(argument, "guest-cid"));
  }
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

VmmFacts DescribeVmm(std::string_view comm, std::span<const std::string_view> arguments) {
  VmmFacts facts;
  facts.vmm = VmmOfProgram(comm);
  if (facts.vmm.empty() && !arguments.empty()) facts.vmm = VmmOfProgram(BaseName(arguments[0]));
  if (facts.vmm == "qemu") {
    DescribeQemu(arguments, facts);
  } else if (facts.vmm == "firecracker") {
    facts.name = Printable(OptionValue(arguments, "--id"));
  } else if (facts.vmm == "cloud-hypervisor") {
    facts.vsock_cid = ParseCid(ListValue(OptionValue(arguments, "--vsock"), "cid"));
  } else if (facts.vmm == "crosvm") {
    facts.vsock_cid = ParseCid(OptionValue(arguments, "--cid"));
  } else if (facts.vmm == "lab") {
    facts.name = Printable(OptionValue(arguments, "--name"));
  }
  return facts;
}

}  // namespace lockhost::agent
