# Targets of this project. Includes are written from the repository's root
# ("agent/table/vm_table.h"), yet a target sees only the folders it links to: each
# folder has an include root of its own, a directory that holds nothing but a link
# to that folder. So an include that goes against the data flow does not compile.

set(LOCKHOST_INCLUDE_ROOTS "${CMAKE_BINARY_DIR}/include_roots")

# Sets OUT to the include root that shows FOLDER alone, making it if needed.
function(lockhost_include_root OUT FOLDER)
  string(REPLACE "/" "_" name "${FOLDER}")
  set(root "${LOCKHOST_INCLUDE_ROOTS}/${name}")
  cmake_path(GET FOLDER PARENT_PATH parent)
  file(MAKE_DIRECTORY "${root}/${parent}")
  file(CREATE_LINK "${CMAKE_SOURCE_DIR}/${FOLDER}" "${root}/${FOLDER}" SYMBOLIC)
  set(${OUT} "${root}" PARENT_SCOPE)
endfunction()

add_library(lockhost_flags INTERFACE)
target_compile_options(lockhost_flags INTERFACE -Wall -Wextra -Werror)
if(LOCKHOST_SANITIZE)
  target_compile_options(lockhost_flags INTERFACE
    -fsanitize=${LOCKHOST_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(lockhost_flags INTERFACE -fsanitize=${LOCKHOST_SANITIZE})
  if(LOCKHOST_SANITIZE STREQUAL "thread")
    # Fences, which ThreadSanitizer cannot follow, are in libraries' headers; we have none.
    target_compile_options(lockhost_flags INTERFACE -Wno-tsan)
  endif()
endif()

# lockhost_library(NAME FOLDER folder [SOURCES ...] [DEPS ...] [PRIVATE_DEPS ...])
# A static library, or an interface one when there are no sources. FOLDER is what
# users of the library may include.
function(lockhost_library NAME)
  cmake_parse_arguments(ARG "" "FOLDER" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  lockhost_include_root(root "${ARG_FOLDER}")
  if(ARG_SOURCES)
    add_library(${NAME} STATIC ${ARG_SOURCES})
    target_include_directories(${NAME} PUBLIC "${root}")
    target_link_libraries(${NAME} PUBLIC ${ARG_DEPS} PRIVATE lockhost_flags ${ARG_PRIVATE_DEPS})
  else()
    add_library(${NAME} INTERFACE)
    target_include_directories(${NAME} INTERFACE "${root}")
    target_link_libraries(${NAME} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# lockhost_program(NAME SOURCES ... DEPS ...)
function(lockhost_program NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE lockhost_flags ${ARG_DEPS})
endfunction()

# lockhost_test(NAME SOURCES ... DEPS ... [TIMEOUT seconds] [LABELS ...] [UNINSTRUMENTED])
# A GoogleTest binary; each test is a ctest of its own. Tests may include from tests/.
# UNINSTRUMENTED: threads meet in packaged libraries (gRPC, Protobuf), whose locks
# ThreadSanitizer cannot see; not run under it.
function(lockhost_test NAME)
  cmake_parse_arguments(ARG "UNINSTRUMENTED" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  lockhost_include_root(root tests)
  add_executable(${NAME} ${ARG_SOURCES})
  target_include_directories(${NAME} PRIVATE "${root}")
  target_link_libraries(${NAME} PRIVATE lockhost_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(ARG_UNINSTRUMENTED AND LOCKHOST_SANITIZE STREQUAL "thread")
    return()
  endif()
  # One word ("root-kvm"), since gtest_discover_tests passes on a list's first label alone;
  # `ctest -L kvm` matches a part of it.
  list(JOIN ARG_LABELS "-" label)
  gtest_discover_tests(${NAME} TEST_PREFIX "${NAME}." DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${label}")
endfunction()

# lockhost_fuzzer(NAME SOURCES ... DEPS ... [MUTATIONS number])
# SOURCES define LLVMFuzzerTestOneInput; seeds lie in corpus/NAME beside them. With the
# preset `fuzz` NAME_fuzz is a libFuzzer program, built with the target lockhost_fuzzers.
# Elsewhere it is linked to tests/fuzz/replay_main.cc and makes the ctest fuzz.NAME.
function(lockhost_fuzzer NAME)
  cmake_parse_arguments(ARG "" "MUTATIONS" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_MUTATIONS)
    set(ARG_MUTATIONS 5000)
  endif()
  lockhost_include_root(root tests)
  add_executable(${NAME}_fuzz ${ARG_SOURCES})
  target_include_directories(${NAME}_fuzz PRIVATE "${root}")
  target_link_libraries(${NAME}_fuzz PRIVATE lockhost_flags ${ARG_DEPS})
  if(LOCKHOST_SANITIZE MATCHES "fuzzer")
    target_link_options(${NAME}_fuzz PRIVATE -fsanitize=fuzzer)
    if(NOT TARGET lockhost_fuzzers)
      add_custom_target(lockhost_fuzzers)
    endif()
    add_dependencies(lockhost_fuzzers ${NAME}_fuzz)
    return()
  endif()
  target_link_libraries(${NAME}_fuzz PRIVATE lockhost_fuzz_replay)
  add_test(NAME fuzz.${NAME}
           COMMAND ${NAME}_fuzz ${ARG_MUTATIONS} "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${NAME}")
  # Death by abort, so that the driver can leave the input behind.
  set_tests_properties(fuzz.${NAME} PROPERTIES TIMEOUT 120 ENVIRONMENT
    "ASAN_OPTIONS=abort_on_error=1;UBSAN_OPTIONS=abort_on_error=1;TSAN_OPTIONS=abort_on_error=1")
endfunction()
