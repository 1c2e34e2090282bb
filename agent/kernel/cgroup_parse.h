// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_CGROUP_PARSE_H_
#define LOCKHOST_AGENT_KERNEL_CGROUP_PARSE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// What the control group of a thread tells of a VM that libvirt started. Whoever may
// make cgroups chooses their names, so they are hostile. Pure, thread-safe.
namespace lockhost::agent {

// Undoes systemd's escaping of unit names: "\x2d" is '-'. What is no whole escape stays
// as it is, as systemd itself never writes it.
std::string UnescapeUnitName(std::string_view text);

struct LibvirtCgroup {
  // The domain's name as libvirt gave it to systemd: characters that it does not allow
  // are left out and long names are cut, so the name on the command line is better.
  std::string name;
  std::optional<uint32_t> vcpu_id;  // of a vCPU thread

  bool operator==(const LibvirtCgroup&) const = default;
};

// From /proc/PID/task/TID/cgroup (version 1 or 2). nullopt: not started by libvirt as a
// system service under systemd.
std::optional<LibvirtCgroup> ParseLibvirtCgroup(std::string_view text);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_CGROUP_PARSE_H_
