# Included by CMake right after llama.cpp's own project() call (building.py passes it as
# CMAKE_PROJECT_llama.cpp_INCLUDE): shortens the build of all but inference.
#
# Most of the time goes into llama-common, llama-server and mtmd, whose sources each parse the
# same large headers: compile them in groups (a unity build) and with less optimisation. libllama
# and ggml are left exactly as upstream builds them, for their speed is what people come for.
#
# LLAMA_PY_C_LIBRARIES=ON leaves only C interfaces between the libraries: the programs' shared C++ code
# becomes a part of each. It is for compilers such as zig that give each library its own C++ library:
# then a string or stream made by one library must not be passed to another.
#
# LLAMA_PY_APART lists targets whose sources are compiled one by one; building.py adds one when a
# group of it does not compile. A target that a tag does not have is passed over.
#
# GCC before 11.5, 12.4 and 13.3 believes that _tile_loadconfig reads 8 bytes of its 64 (GCC's bug
# 114098). It leaves out the stores of the others, and the first prompt on a CPU with AMX ends in an
# illegal instruction. With GCC, ggml's AMX sources therefore get another definition of it.

function(llama_py_group_sources name)
    get_target_property(folder ${name} SOURCE_DIR)
    get_target_property(sources ${name} SOURCES)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    foreach(source IN LISTS sources)
        # mtmd-helper refuses, with #error, to be compiled together with mtmd's internal headers;
        # json.cpp wants to be the first that includes nlohmann's header.
        if(source MATCHES "mtmd-helper|^json\\.cpp$")
            get_filename_component(path "${source}" ABSOLUTE BASE_DIR "${folder}")
            set_source_files_properties("${path}" TARGET_DIRECTORY ${name}
                PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
        endif()
    endforeach()
endfunction()

function(llama_py_shorten_build)
    foreach(name llama-common mtmd server-context llama-server-impl llama-server cpp-httplib)
        if(NOT TARGET ${name})
            continue()
        endif()
        if(NOT name IN_LIST LLAMA_PY_APART AND NOT name STREQUAL "cpp-httplib")
            llama_py_group_sources(${name})
        endif()
        if(NOT MSVC)
            if(name STREQUAL "mtmd")
                target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O2>)
            else()
                target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
            endif()
        endif()
    endforeach()
endfunction()

function(llama_py_mend_tiles)
    file(GLOB sources "${CMAKE_SOURCE_DIR}/ggml/src/ggml-cpu/amx/*.cpp")
    if(NOT sources OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        return()
    endif()
    set(header "${CMAKE_BINARY_DIR}/llama_py_tiles.h")
    file(WRITE "${header}" [[
#ifdef __AMX_TILE__
#include <immintrin.h>
static inline void llama_py_tile_loadconfig(const void * config) {
    __asm__ volatile("ldtilecfg %0" : : "m"(*(const char (*)[64]) config));
}
#define _tile_loadconfig llama_py_tile_loadconfig
#endif
]])
    set_source_files_properties(${sources} DIRECTORY "${CMAKE_SOURCE_DIR}/ggml/src"
        PROPERTIES COMPILE_OPTIONS "-include;${header}")
endfunction()

# CMake leaves out of the runtime path where nvcc's own libraries are, but only nvcc knows the folder.
function(llama_py_find_toolkit)
    if(CMAKE_INSTALL_RPATH_USE_LINK_PATH AND TARGET ggml-cuda)
        get_directory_property(folder DIRECTORY "${CMAKE_SOURCE_DIR}/ggml/src/ggml-cuda"
            DEFINITION CUDAToolkit_LIBRARY_DIR)
        set_property(TARGET ggml-cuda APPEND PROPERTY INSTALL_RPATH "${folder}")
    endif()
endfunction()

option(LLAMA_PY_C_LIBRARIES "link the C++ parts into the programs" OFF)
if(LLAMA_PY_C_LIBRARIES)
    macro(add_library name)
        if("${name}" MATCHES "^(llama-common|llama-server-impl)$")
            _add_library(${name} STATIC ${ARGN})
        else()
            _add_library(${name} ${ARGN})
        endif()
    endmacro()
endif()

set(LLAMA_PY_APART "" CACHE STRING "targets whose sources are not compiled in groups")

# The targets do not exist yet; run when the top-level CMakeLists.txt has been read.
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL llama_py_shorten_build)
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL llama_py_mend_tiles)
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL llama_py_find_toolkit)
