// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_KERNEL_CONFIG_H_
#define LOCKHOST_AGENT_DOCTOR_KERNEL_CONFIG_H_

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/doctor/roots.h"

namespace lockhost::doctor {

// Options that a kernel was built with.
struct KernelConfig {
  std::set<std::string, std::less<>> enabled;  // "CONFIG_X" that are =y or =m

  bool Has(std::string_view option) const { return enabled.contains(option); }
};

// From the text of a .config.
KernelConfig ParseKernelConfig(std::string_view text);

// The running kernel's, from /proc/config.gz or /boot/config-RELEASE; nullopt when
// neither can be read.
std::optional<KernelConfig> ReadKernelConfig(const Roots& roots, const std::string& release);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_KERNEL_CONFIG_H_
