# BPF objects: GPL-2.0 programs compiled by clang for the bpf target, embedded as
# libbpf skeletons. No vmlinux.h: the few kernel fields we use are declared with
# preserve_access_index, so the object built here loads on other kernels.

find_program(CLANG_EXECUTABLE NAMES clang clang-14 clang-15 clang-16 REQUIRED)
find_program(LLVM_STRIP_EXECUTABLE NAMES llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 REQUIRED)
find_program(BPFTOOL_EXECUTABLE NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

# lockhost_bpf_skeleton(NAME SOURCE x.bpf.c FOLDER folder [HEADERS ...])
# Makes the interface target NAME; its users include "x.skel.h". The source may include from
# FOLDER and client/page. HEADERS are the files that it includes: a change there rebuilds the
# object.
function(lockhost_bpf_skeleton NAME)
  cmake_parse_arguments(ARG "" "SOURCE;FOLDER" "HEADERS" ${ARGN})
  get_filename_component(stem "${ARG_SOURCE}" NAME)
  string(REGEX REPLACE "\\.bpf\\.c$" "" stem "${stem}")
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SOURCE}")
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/skeleton")
  set(object "${dir}/${stem}.bpf.o")
  set(skeleton "${dir}/${stem}.skel.h")
  set(headers)
  foreach(header IN LISTS ARG_HEADERS)
    cmake_path(ABSOLUTE_PATH header BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND headers "${header}")
  endforeach()
  lockhost_include_root(own_root "${ARG_FOLDER}")
  lockhost_include_root(page_root client/page)
  file(MAKE_DIRECTORY "${dir}")
  add_custom_command(
    OUTPUT "${skeleton}"
    COMMAND "${CLANG_EXECUTABLE}" -g -O2 -mcpu=v3 -target bpf -D__BPF__ -D__TARGET_ARCH_x86
            -Wall -Werror -I "${own_root}" -I "${page_root}"
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -c "${source}" -o "${object}"
    COMMAND "${LLVM_STRIP_EXECUTABLE}" -g "${object}"
    COMMAND "${BPFTOOL_EXECUTABLE}" gen skeleton "${object}" > "${skeleton}"
    DEPENDS "${source}" ${headers}
    COMMENT "BPF skeleton ${stem}.skel.h"
    VERBATIM)
  add_custom_target(${NAME}_generate DEPENDS "${skeleton}")
  add_library(${NAME} INTERFACE)
  target_include_directories(${NAME} SYSTEM INTERFACE "${dir}")
  add_dependencies(${NAME} ${NAME}_generate)
endfunction()
