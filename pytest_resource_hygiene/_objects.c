/* Many objects at once; objects.py does the same in Python where this was not compiled. */

#include "_speedups.h"
#include <stdint.h>
#include <string.h>

PyDoc_STRVAR(untrack_doc,
"untrack(thing, /)\n--\n\n"
"Have the collector pass an object by, which has to have no part in any cycle when it is dropped.\n");

static PyObject *
untrack(PyObject *module, PyObject *thing)
{
    if (PyObject_IS_GC(thing))
        PyObject_GC_UnTrack(thing);
    Py_RETURN_NONE;
}

/* Which classes are wanted, and what is known of those that were met: most objects are of a few. */
#define MET 256

typedef struct {
    PyObject *classes; /* a tuple */
    PyObject *found;   /* a list; NULL after an error */
    PyTypeObject *met[MET];
    char is_wanted[MET];
} Search;

static int
start_search(Search *search, PyObject *classes)
{
    memset(search, 0, sizeof(*search));
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(classes); n++) {
        if (!PyType_Check(PyTuple_GET_ITEM(classes, n))) {
            PyErr_SetString(PyExc_TypeError, "classes must be a tuple of types");
            return -1;
        }
    }
    search->classes = classes;
    search->found = PyList_New(0);
    return search->found == NULL ? -1 : 0;
}

static int
is_wanted(Search *search, PyTypeObject *type)
{
    size_t place = ((uintptr_t)type >> 5) % MET;
    if (search->met[place] != type) {
        search->met[place] = type; /* it cannot go, or change, before the search is over */
        search->is_wanted[place] = 0;
        for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(search->classes); n++)
            if (PyType_IsSubtype(type, (PyTypeObject *)PyTuple_GET_ITEM(search->classes, n)))
                search->is_wanted[place] = 1;
    }
    return search->is_wanted[place];
}

/* Returns whether to go on. */
static int
look_at(PyObject *object, void *context)
{
    Search *search = context;
    if (is_wanted(search, Py_TYPE(object)) && PyList_Append(search->found, object) < 0)
        Py_CLEAR(search->found);
    return search->found != NULL;
}

PyDoc_STRVAR(instances_doc,
"instances(objects, classes, /)\n--\n\n"
"Return those of a list whose real type is, or derives from, one of a tuple of classes.\n");

static PyObject *
instances(PyObject *module, PyObject *args)
{
    PyObject *objects, *classes;
    Search search;
    if (!PyArg_ParseTuple(args, "O!O!:instances", &PyList_Type, &objects, &PyTuple_Type, &classes))
        return NULL;
    if (start_search(&search, classes) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objects); i++)
        if (!look_at(PyList_GET_ITEM(objects, i), &search))
            break;
    return search.found;
}

#if PY_VERSION_HEX >= 0x030C0000
PyDoc_STRVAR(live_instances_doc,
"live_instances(classes, /)\n--\n\n"
"Return those of all that the collector knows; no list of everything is made for it.\n");

static PyObject *
live_instances(PyObject *module, PyObject *classes)
{
    Search search;
    if (!PyTuple_Check(classes)) {
        PyErr_SetString(PyExc_TypeError, "classes must be a tuple of types");
        return NULL;
    }
    if (start_search(&search, classes) < 0)
        return NULL;
    PyUnstable_GC_VisitObjects(look_at, &search);
    return search.found;
}
#endif

typedef struct {
    PyTypeObject *type;
    PyObject *found; /* a list; NULL after an error */
} Wanted;

static int
look_at_referent(PyObject *object, void *context)
{
    Wanted *wanted = context;
    if (Py_TYPE(object) == wanted->type && PyList_Append(wanted->found, object) < 0) {
        Py_CLEAR(wanted->found);
        return -1;
    }
    /* Up to Python 3.13 the collector leaves out the attributes of an object that has but such as
     * it does not track. */
    if (PyDict_CheckExact(object) && !PyObject_GC_IsTracked(object))
        return Py_TYPE(object)->tp_traverse(object, look_at_referent, context);
    return 0;
}

PyDoc_STRVAR(referred_doc,
"referred(objects, type, /)\n--\n\n"
"Return the objects of just that type to which those of a list refer, each as often.\n");

static PyObject *
referred(PyObject *module, PyObject *args)
{
    PyObject *objects;
    Wanted wanted;
    if (!PyArg_ParseTuple(args, "O!O!:referred", &PyList_Type, &objects, &PyType_Type, &wanted.type))
        return NULL;
    wanted.found = PyList_New(0);
    for (Py_ssize_t i = 0; wanted.found != NULL && i < PyList_GET_SIZE(objects); i++) {
        PyObject *object = PyList_GET_ITEM(objects, i);
        traverseproc traverse = Py_TYPE(object)->tp_traverse;
        if (traverse != NULL && PyObject_IS_GC(object))
            traverse(object, look_at_referent, &wanted);
    }
    return wanted.found;
}

/* Whether the object of a record is there, and its method says that it is not over; -1 with an
 * exception set. */
static int
is_pending(PyObject *record, PyObject *method)
{
    PyObject *object = PyObject_CallNoArgs(PyTuple_GET_ITEM(record, 0));
    if (object == NULL)
        return -1;
    PyObject *over = object == Py_None ? Py_NewRef(Py_True)
                                       : PyObject_CallMethodNoArgs(object, method);
    int is_over = over == NULL ? -1 : PyObject_IsTrue(over);
    Py_XDECREF(over);
    Py_DECREF(object);
    return is_over < 0 ? -1 : !is_over;
}

PyDoc_STRVAR(pending_doc,
"pending(records, method, /)\n--\n\n"
"Drop the records that are over from a list; objects.py has it in Python, and the words for it.\n");

static PyObject *
still_pending(PyObject *records, PyObject *method)
{
    PyObject *kept = PyList_New(0), *references = PyList_New(0);
    Py_ssize_t seen = 0; /* a method may run anything, which may add to the records */
    int failed = kept == NULL || references == NULL;
    while (!failed && seen < PyList_GET_SIZE(records)) {
        PyObject *record = Py_NewRef(PyList_GET_ITEM(records, seen++));
        int keep = -1;
        if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) == 0
            || !PyWeakref_Check(PyTuple_GET_ITEM(record, 0)))
            PyErr_SetString(PyExc_TypeError, "a record begins with a weak reference");
        else
            keep = is_pending(record, method);
        failed = keep < 0
                 || (keep
                     && (PyList_Append(kept, record) < 0
                         || PyList_Append(references, PyTuple_GET_ITEM(record, 0)) < 0));
        Py_DECREF(record);
    }
    if (!failed && PyList_GET_SIZE(kept) < seen)
        failed = PyList_SetSlice(records, 0, seen, kept) < 0;
    Py_XDECREF(kept);
    if (failed)
        Py_CLEAR(references);
    return references;
}

static PyObject *
pending(PyObject *module, PyObject *args)
{
    PyObject *records, *method;
    if (!PyArg_ParseTuple(args, "O!U:pending", &PyList_Type, &records, &method))
        return NULL;
    return still_pending(records, method);
}

/* Whether the object has a true attribute of one of these names; -1 with an exception set. */
static int
has_any_of(PyObject *object, PyObject *names)
{
    int found = 0;
    for (Py_ssize_t i = 0; found == 0 && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyObject_GetAttr(object, PyTuple_GET_ITEM(names, i));
        if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            continue;
        }
        found = value == NULL ? -1 : PyObject_IsTrue(value);
        Py_XDECREF(value);
    }
    return found;
}

PyDoc_STRVAR(is_idle_doc,
"is_idle(records, method, object, names, /)\n--\n\n"
"Return whether nothing hangs on an object; objects.py has it in Python, and the words for it.\n");

static PyObject *
is_idle(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4 || !PyList_Check(args[0]) || !PyUnicode_Check(args[1])
        || !PyTuple_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "is_idle takes a list, a name, an object and names");
        return NULL;
    }
    PyObject *left = still_pending(args[0], args[1]);
    if (left == NULL)
        return NULL;
    int hangs = PyList_GET_SIZE(left) > 0;
    Py_DECREF(left);
    if (!hangs)
        hangs = has_any_of(args[2], args[3]);
    return hangs < 0 ? NULL : PyBool_FromLong(!hangs);
}

static PyMethodDef functions[] = {
    {"instances", instances, METH_VARARGS, instances_doc},
#if PY_VERSION_HEX >= 0x030C0000
    {"live_instances", live_instances, METH_O, live_instances_doc},
#endif
    {"referred", referred, METH_VARARGS, referred_doc},
    {"is_idle", _PyCFunction_CAST(is_idle), METH_FASTCALL, is_idle_doc},
    {"pending", pending, METH_VARARGS, pending_doc},
    {"untrack", untrack, METH_O, untrack_doc},
    {NULL, NULL, 0, NULL},
};

int
add_objects(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
