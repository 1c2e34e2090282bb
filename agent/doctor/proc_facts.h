// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_PROC_FACTS_H_
#define LOCKHOST_AGENT_DOCTOR_PROC_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Pure parsers of the texts that only the doctor reads.
namespace lockhost::doctor {

// CapEff of /proc/PID/status.
std::optional<uint64_t> ParseCapabilities(std::string_view status);

// The mode in force: "none [integrity] confidentiality" -> "integrity".
std::string ParseLockdown(std::string_view text);

// The options of the last mount of this type at `where`, from /proc/PID/mounts; nullopt
// when there is none.
std::optional<std::string> FindMount(std::string_view mounts, std::string_view type,
                                     std::string_view where);

// The value of "hidepid" among a proc mount's options: "" or "0" when nothing is hidden.
std::string ParseHidepid(std::string_view options);

// CPUs in a list such as "0-3,8"; 0 if it is no such list.
uint32_t CountCpus(std::string_view list);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_PROC_FACTS_H_
