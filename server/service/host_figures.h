// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_HOST_FIGURES_H_
#define LOCKHOST_SERVER_SERVICE_HOST_FIGURES_H_

#include <memory>
#include <utility>

#include "agent/channel/packet.h"
#include "agent/table/host_page.h"
#include "server/directory/vm_directory.h"

namespace lockhost::server {

// What the agent says of load and boosts; null while it says nothing.
inline std::unique_ptr<agent::HostFigures> ReadFigures(const SourceState& source) {
  auto figures = source.host_page != nullptr ? source.host_page->Read() : nullptr;
  return figures != nullptr && figures->updated_at_ns != 0 ? std::move(figures) : nullptr;
}

// Whether the agent boosts anybody.
inline bool Boosts(const agent::HostFigures& figures) {
  const auto mechanism = agent::FieldText(figures.boost_mechanism);
  return !mechanism.empty() && mechanism != "none";
}

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_HOST_FIGURES_H_
